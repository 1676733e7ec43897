package limits

import (
	"fmt"
	"time"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/wire"
)

// Row is one resource that somebody can make a proxy spend.
type Row struct {
	Name string // as in --limit NAME=NUMBER, if it can be set
	What string // what is counted, with its unit
	Who  string // who can spend it
	// Number is the limit, unless it can be set; see Limits.Value.
	Number int
	// Computed says that the number follows from the memory limit.
	Computed bool
	Past     string // what happens past it
	// Code is the reason that is told (docs/reasons.md), or the code of the protocol
	// where no reason travels.
	Code string

	Least, Most int
	field       func(*Limits) *int
}

// Settable says whether --limit takes the row's name.
func (r Row) Settable() bool { return r.field != nil }

// Value gives a row's number.
func (l *Limits) Value(r Row) int {
	if r.field == nil {
		return r.Number
	}
	return *r.field(l)
}

const (
	clients  = "client"
	peers    = "peer's proxy"
	anybody  = "anybody who can connect"
	everyone = "client, application, " + peers
	calm     = "ENHANCE_YOUR_CALM"
	many     = 1 << 20
	muchData = 1 << 30
)

// Table lists every limit of a proxy.
func Table() []Row {
	var all []Row
	for _, part := range [][]Row{connections(), heads(), links(), applications(), rest()} {
		all = append(all, part...)
	}
	return all
}

func connections() []Row {
	overloaded := flow.Overloaded.String()
	return []Row{
		{
			Name: "connections", What: "connections of each side: towards the workload, and of its clients", Who: anybody, Computed: true,
			Past: "the connection that has kept the proxy waiting the longest is ended, an idle link, or a quiet opaque one; where there is none, the new one is refused",
			Code: overloaded, Least: 16, Most: many, field: func(l *Limits) *int { return &l.Connections },
		},
		{
			Name: "told", What: "refused connections that are being told why at once", Who: anybody, Past: "others are cut",
			Code: "–", Least: 1, Most: many, field: func(l *Limits) *int { return &l.Told },
		},
		timed("told-seconds", "seconds that one may take to be told", anybody, "it is cut", "–", func(l *Limits) *int { return &l.Tell }),
		timed("quiet-seconds", "seconds without a byte after which an opaque connection may give way, when all of them are taken", anybody,
			"it is ended, if it is the quietest of whoever has the most", overloaded, func(l *Limits) *int { return &l.OpaqueQuiet }),
		timed("idle-seconds", "seconds for which a client's connection is kept without a request; those of opaque protocols have no limit", anybody,
			"it is closed; `leno_idle_closed_total` counts it", "–", func(l *Limits) *int { return &l.ClientIdle }),
		timed("part-seconds", "seconds that a link which gave way may take to end", peers, "it is cut", overloaded,
			func(l *Limits) *int { return &l.Part }),
		{
			Name: "handshakes", What: "TLS handshakes of links under way", Who: anybody, Computed: true,
			Past: "the oldest one is ended", Code: overloaded, Least: 1, Most: many, field: func(l *Limits) *int { return &l.Handshakes },
		},
		timed("handshake-seconds", "seconds that a handshake may take", anybody, "the connection is closed", flow.ConnectTimeout.String(),
			func(l *Limits) *int { return &l.Handshake }),
		{
			Name: "wide-buffers", What: "bytes of all connections' buffers beyond 4 KiB each: large heads, bodies under way, and a quarter for beginnings of bodies that are kept for another try", Who: anybody, Computed: true,
			Past: "bodies travel in small pieces, or are not kept; a head that needs more is refused",
			Code: overloaded, Least: 2 * flow.MaxHead, Most: muchData, field: func(l *Limits) *int { return &l.WideBuffers },
		},
		{
			Name: "unsent-bytes", What: "bytes that wait in the kernel for one connection to take them", Who: anybody, Computed: true,
			Past: "who sends them waits", Code: "–", Least: 4 << 10, Most: muchData, field: func(l *Limits) *int { return &l.Unsent },
		},
		{
			Name: "destinations", What: "destinations that clients made the proxy ask the control plane for", Who: clients, Computed: true,
			Past: "one that nobody uses gives way, such as nobody knows first; where all are in use, a request to another one is refused",
			// Half, so that as many can be asked for before the control plane has
			// heard of those that gave way.
			Code: overloaded, Least: 1, Most: wire.MaxWatches / 2,
			field: func(l *Limits) *int { return &l.Destinations },
		},
		{
			Name: "awaiting", What: "requests that wait for one destination to get an endpoint", Who: clients,
			Past: "the request is refused", Code: overloaded, Least: 1, Most: many, field: func(l *Limits) *int { return &l.Awaiting },
		},
		{
			Name: "tries", What: "endpoints that one request is offered to, one after another, while none takes it", Who: peers,
			Past: "the request fails for the reason of the last one", Code: flow.ConnectFailed.String(), Least: 1, Most: many,
			field: func(l *Limits) *int { return &l.Endpoints },
		},
		timed("room-seconds", "seconds for which a request is tried again where no more streams are taken", peers, "the request fails", overloaded,
			func(l *Limits) *int { return &l.Room }),
		timed("answer-seconds", "seconds for which a peer may be silent on a link, when no new one can be had", peers, "the requests for it fail",
			flow.ConnectFailed.String(), func(l *Limits) *int { return &l.Answer }),
		timed("start-seconds", "seconds that one waits for the only instances to begin to listen", clients,
			"it is handed to one of them, which refuses it", flow.AppRefused.String(), func(l *Limits) *int { return &l.Start }),
	}
}

func heads() []Row {
	tooLarge, overloaded := flow.HeaderTooLarge.String(), flow.Overloaded.String()
	malformed, refused := flow.BadRequest.String(), "the message is refused; of an application with `"+flow.AppBadResponse.String()+"`"
	return []Row{
		{
			Name: "head-bytes", What: "bytes of a head; on links the decoded fields, each with 32 more", Who: everyone,
			Past: "the message is refused", Code: tooLarge, Least: 1 << 10, Most: flow.MaxHead, field: func(l *Limits) *int { return &l.HeadBytes },
		},
		{
			Name: "line-bytes", What: "bytes of one line of an HTTP/1 head; of the request line `target-too-long`", Who: "client, application",
			Past: "the message is refused", Code: tooLarge, Least: 256, Most: flow.MaxHead, field: func(l *Limits) *int { return &l.LineBytes },
		},
		{
			Name: "head-fields", What: "fields of a head; in HTTP/2 there may be 8 more for pseudo-header fields, on links 16 with Leno's own", Who: everyone,
			Past: "the message is refused", Code: tooLarge, Least: 8, Most: 4096, field: func(l *Limits) *int { return &l.HeadFields },
		},
		timed("head-seconds", "seconds from the first byte of a head to its last; where a header block of HTTP/2 takes longer, the connection is ended", clients, "the request is refused", flow.SlowRequest.String(),
			func(l *Limits) *int { return &l.Head }),
		timed("linger-seconds", "seconds for which what a client of HTTP/1 sends after its last answer is dropped, as long as something comes in each", clients,
			"the connection is closed", "–", func(l *Limits) *int { return &l.Linger }),
		timed("untaken-seconds", "seconds for which an application may take nothing of a body that it has answered already", "application",
			"the rest is dropped, and the client's connection ends behind the answer", "–", func(l *Limits) *int { return &l.Untaken }),
		timed("body-seconds", "seconds for which a client's connection may be silent while all of its requests wait for their bodies, or for it to read, when over seven eighths of the side's `connections` are used, or of `streams` where it has some",
			clients, "it ends, the one silent the longest first, until there is room again: a request of HTTP/1 whose body does not come is refused with `slow-request`, other connections are reset", overloaded,
			func(l *Limits) *int { return &l.SlowBody }),
		timed("ended-seconds", "seconds for which a client of HTTP/1 that has ended its direction may wait while no byte of its answer comes",
			clients, "its request is given up, as of a client that went away", flow.ClientGone.String(),
			func(l *Limits) *int { return &l.ClientEnded }),
		{
			Name: "chunk-line-bytes", What: fmt.Sprintf("bytes of the line before a chunk; all of its extensions may have %d times that, and as much as the body", http1.FreeExtensions), Who: "client, application",
			Past: refused, Code: malformed, Least: 64, Most: flow.MaxHead, field: func(l *Limits) *int { return &l.ChunkLine },
		},
		{
			Name: "trailer-bytes", What: "bytes of the trailers of an HTTP/1 body; a quarter of `head-bytes` unless set", Who: "client, application",
			Past: refused, Code: malformed, Least: 256, Most: flow.MaxHead, field: func(l *Limits) *int { return &l.TrailerBytes },
		},
		{
			Name: "trailer-fields", What: "fields of the trailers of an HTTP/1 body; half of `head-fields` unless set", Who: "client, application",
			Past: refused, Code: malformed, Least: 4, Most: 4096, field: func(l *Limits) *int { return &l.Trailers },
		},
		{
			Name: "interim-answers", What: "1xx answers to one request; a stream of HTTP/2 may have one head more, and all of them with its trailers twice `head-bytes`", Who: "application, " + peers,
			Past: "the request fails, or the stream is reset; of a peer's proxy with `bad-response`", Code: flow.AppBadResponse.String(),
			Least: 1, Most: 1024, field: func(l *Limits) *int { return &l.Interim },
		},
	}
}

func links() []Row {
	overloaded := flow.Overloaded.String()
	return []Row{
		{
			Name: "peer-links", What: "links of one workload", Who: peers, Past: "the link is closed after its handshake",
			Code: overloaded, Least: 1, Most: many, field: func(l *Limits) *int { return &l.PeerLinks },
		},
		{
			Name: "link-streams", What: "streams of one link, or of one client's HTTP/2 connection, which may have half of `client-streams` at most", Who: clients + ", " + peers, Past: "the stream is refused", Code: overloaded,
			Least: 1, Most: many, field: func(l *Limits) *int { return &l.LinkStreams },
		},
		{
			Name: "peer-streams", What: "streams of one workload's links that are being served", Who: peers, Computed: true,
			Past: "the stream is refused", Code: overloaded, Least: 1, Most: many, field: func(l *Limits) *int { return &l.PeerStreams },
		},
		{
			Name: "client-streams", What: "streams of all connections of HTTP/2 of clients that are being served; three quarters of them on each side, half of one address or, among the workload's own clients, of one connection, and no more than two for each that is free on its side",
			Who: clients, Computed: true, Past: "the stream is refused", Code: overloaded, Least: 4, Most: many, field: func(l *Limits) *int { return &l.ClientStreams },
		},
		{
			Name: "streams", What: "streams of all links, and of those connections, that are being served", Who: clients + ", " + peers, Computed: true,
			Past: "the stream is refused", Code: overloaded, Least: 1, Most: many, field: func(l *Limits) *int { return &l.Streams },
		},
		{
			Name: "link-buffers", What: "bytes received on all links and connections of HTTP/2 that nobody took, of heads beyond 4 KiB for each stream, of header blocks under way, of windows that grew, and waiting or under way to peers; of clients half of them, three quarters of that on each side", Who: everyone, Computed: true,
			Past: "new streams are refused, and one that keeps sending unread bytes is reset", Code: overloaded,
			Least: 1 << 20, Most: muchData, field: func(l *Limits) *int { return &l.LinkBuffers },
		},
		timed("stall-seconds", fmt.Sprintf("seconds that a peer may take for %d bytes that wait to be sent on a stream, when streams or buffers are over three quarters used", mux.StallBytes),
			clients+", "+peers, "the stream is reset", calm, func(l *Limits) *int { return &l.Stall }),
		flooding("resets", "RST_STREAM of a connection of HTTP/2 in one second, and streams that the proxy has to reset for what came on them, but for streams that the proxy opened; of a client's connection a quarter", func(l *Limits) *int { return &l.Resets }),
		flooding("pings", "PING of one in one second, beyond one for each DATA frame that the peer was sent", func(l *Limits) *int { return &l.Pings }),
		flooding("settings", "SETTINGS of one in one second", func(l *Limits) *int { return &l.Settings }),
		flooding("idle-frames", "frames of one in one second that have no effect: empty DATA, short DATA of closed streams, heads of such that the peer opened, GOAWAY, WINDOW_UPDATE of under 256 bytes beyond two for each DATA frame that the peer was sent, unknown types", func(l *Limits) *int { return &l.IdleFrames }),
		flooding("unread-answers", "bytes of answers to control frames, and of resets, that the peer does not read", func(l *Limits) *int { return &l.Answers }),
		flooding("continuations", "CONTINUATION frames of one header block", func(l *Limits) *int { return &l.Continuations }),
		flooding("block-bytes", "bytes of one header block as it travels; twice `head-bytes` unless set", func(l *Limits) *int { return &l.BlockBytes }),
		{
			Name: "held-block-bytes", What: "bytes of a header block under way when buffers are over seven eighths used", Who: "client, application",
			Past: "the connection is ended", Code: calm, Least: 1, Most: many, field: func(l *Limits) *int { return &l.HeldBlock },
		},
		flooding("settings-entries", "entries of one SETTINGS frame", func(l *Limits) *int { return &l.Entries }),
	}
}

func flooding(name, what string, field func(*Limits) *int) Row {
	return Row{Name: name, What: what, Who: everyone, Past: "the connection is ended", Code: calm, Least: 1, Most: many, field: field}
}

func timed(name, what, who, past, code string, field func(*Limits) *int) Row {
	return Row{Name: name, What: what, Who: who, Past: past, Code: code, Least: 1, Most: many, field: field}
}

// applications are the limits of what a proxy does to applications, the
// workload's own and those of unmeshed endpoints, for whoever asks.
func applications() []Row {
	overloaded, asker := flow.Overloaded.String(), clients+", "+peers
	return []Row{
		{
			Name: "app-connections", What: "HTTP/2 connections to one application", Who: asker,
			Past: "requests wait for a stream of those that stand", Code: overloaded, Least: 1, Most: 1024,
			field: func(l *Limits) *int { return &l.AppConns },
		},
		{
			Name: "app-queue", What: "requests that wait for such a stream", Who: asker, Past: "the request is refused",
			Code: overloaded, Least: 1, Most: many, field: func(l *Limits) *int { return &l.AppQueue },
		},
		timed("queue-seconds", "seconds that one waits", asker, "the request is refused", overloaded, func(l *Limits) *int { return &l.AppQueueTime }),
		timed("settle-seconds", "seconds until the first SETTINGS of a connection of HTTP/2", "application", "the requests that wait fail",
			flow.AppBadResponse.String(), func(l *Limits) *int { return &l.AppSettle }),
		{
			Name: "app-tries", What: "times that one request is sent to an application which ends its connections of HTTP/2 with requests under way, or to peers that send it away", Who: "application, " + peers,
			Past: "the request fails", Code: flow.Draining.String(), Least: 2, Most: many, field: func(l *Limits) *int { return &l.SentAway },
		},
		timed("app-connect-seconds", "seconds to connect to the workload's application", "application", "the request fails",
			flow.AppTimeout.String(), func(l *Limits) *int { return &l.AppConnect }),
		timed("connect-seconds", "seconds to connect to a peer's proxy, or to what is not in the mesh", peers,
			"another instance is tried, then the request fails", flow.ConnectTimeout.String(), func(l *Limits) *int { return &l.Connect }),
		{
			Name: "idle-connections", What: "connections of HTTP/1 to all applications that are kept without a request", Who: asker, Computed: true,
			Past: "those that have waited the longest are closed", Code: "–", Least: 1, Most: many,
			field: func(l *Limits) *int { return &l.IdleConns },
		},
		{
			Name: "app-idle-connections", What: "connections of HTTP/1 to one application that are kept without a request", Who: asker,
			Past: "the one that came free is closed", Code: "–", Least: 1, Most: many, field: func(l *Limits) *int { return &l.AppIdle },
		},
		{
			Name: "app-idle-long", What: "of them, such as are kept for `app-idle-seconds`", Who: asker,
			Past: "those beyond are kept for `app-spare-seconds`", Code: "–", Least: 1, Most: many, field: func(l *Limits) *int { return &l.AppIdleLong },
		},
		timed("app-idle-seconds", "seconds for which a connection to an application is kept without a request", asker, "it is closed", "–",
			func(l *Limits) *int { return &l.AppIdleTime }),
		timed("app-spare-seconds", "seconds for which one of HTTP/1 is kept where there are many", asker, "it is closed", "–",
			func(l *Limits) *int { return &l.AppSpare }),
		{
			Name: "other-ports", What: "ports of the workload that nothing names and requests ask for, with connections kept", Who: asker,
			Past: "the connections of all of them are closed that are idle", Code: "–", Least: 1, Most: 1 << 16,
			field: func(l *Limits) *int { return &l.Strangers },
		},
	}
}

func rest() []Row {
	return []Row{
		{
			Name: "series", What: "series of metrics; a histogram is one", Who: "client, " + peers,
			Past: "new edges count on the edge `other`; `leno_folded_edges_total` says how many", Code: "–", Least: 100, Most: many, field: func(l *Limits) *int { return &l.Series },
		},
		{
			Name: "admin-connections", What: "connections to the admin port", Who: anybody,
			Past: "the oldest of the address with the most is ended", Code: "–", Least: 1, Most: many,
			field: func(l *Limits) *int { return &l.AdminConns },
		},
		{
			Name: "admin-probes", What: "probes under way on the admin port", Who: anybody, Past: "the probe is refused", Code: "503", Least: 1, Most: many,
			field: func(l *Limits) *int { return &l.AdminProbes },
		},
		{
			What: "bytes of one message of the control plane", Who: "control plane", Number: wire.MaxMessage,
			Past: "the stream is ended and opened again", Code: "resource_exhausted",
		},
	}
}

func seconds(d time.Duration) int { return int(d / time.Second) }
