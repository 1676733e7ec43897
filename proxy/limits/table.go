package limits

import (
	"fmt"
	"time"

	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/admin"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/identify"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/proxy/send"
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
	// Code is the reason that is told (docs/reasons.md), or the HTTP/2 error
	// code where no reason travels.
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
			Past: "the connection that has kept the proxy waiting the longest is ended; where none does, the new one is refused",
			Code: overloaded, Least: 16, Most: many, field: func(l *Limits) *int { return &l.Connections },
		},
		{
			Name: "handshakes", What: "TLS handshakes of links under way", Who: anybody, Computed: true,
			Past: "the oldest one is ended", Code: overloaded, Least: 1, Most: many, field: func(l *Limits) *int { return &l.Handshakes },
		},
		{
			What: "seconds that a handshake may take", Who: anybody, Number: seconds(identify.Timeout),
			Past: "the connection is closed", Code: flow.ConnectTimeout.String(),
		},
		{
			Name: "wide-buffers", What: "bytes of all connections' buffers beyond 4 KiB each: large heads, bodies under way", Who: anybody, Computed: true,
			Past: "bodies travel in small pieces; a head that needs more is refused",
			Code: overloaded, Least: flow.MaxHead, Most: muchData, field: func(l *Limits) *int { return &l.WideBuffers },
		},
		{
			Name: "destinations", What: "destinations that clients made the proxy ask the control plane for", Who: clients, Computed: true,
			Past: "a request to another one is refused", Code: overloaded, Least: 1, Most: wire.MaxWatches,
			field: func(l *Limits) *int { return &l.Destinations },
		},
		{
			What: "requests that wait for one destination to get an endpoint", Who: clients, Number: proxy.MaxAwaiting,
			Past: "the request is refused", Code: overloaded,
		},
		{
			What: "seconds that one waits for the only instances to begin to listen", Who: clients, Number: int(proxy.StartWait.Seconds()),
			Past: "it is handed to one of them, which refuses it", Code: flow.AppRefused.String(),
		},
	}
}

func heads() []Row {
	tooLarge := flow.HeaderTooLarge.String()
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
		{
			What: "seconds from the first byte of an HTTP/1 head to its last", Who: clients, Number: seconds(accept.HeadTimeout),
			Past: "the request is refused", Code: flow.SlowRequest.String(),
		},
		{
			What: "bytes of the line before a chunk", Who: "client, application", Number: http1.MaxChunkLine,
			Past: "the message is refused", Code: flow.BadRequest.String(),
		},
		{
			What: "bytes of the trailers of an HTTP/1 body", Who: "client, application", Number: http1.MaxTrailerBytes,
			Past: "the message is refused", Code: flow.BadRequest.String(),
		},
		{
			What: "fields of the trailers of an HTTP/1 body", Who: "client, application", Number: http1.MaxTrailers,
			Past: "the message is refused", Code: flow.BadRequest.String(),
		},
		{
			What: "1xx answers to one request", Who: "application", Number: send.MaxInterim,
			Past: "the request fails", Code: flow.AppBadResponse.String(),
		},
	}
}

func links() []Row {
	frames := http2.NewReader(http2.Limits{}).Limits()
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
			Name: "client-streams", What: "streams of all connections of HTTP/2 of clients that are being served; three quarters of them on each side, half of one address or, among the workload's own clients, of one connection",
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
		{
			What: fmt.Sprintf("seconds that a peer may take for %d bytes that wait to be sent on a stream, when streams or buffers are over three quarters used", mux.StallBytes), Who: clients + ", " + peers,
			Number: seconds(mux.StallTime), Past: "the stream is reset", Code: calm,
		},
		flooding("resets", "RST_STREAM of a connection of HTTP/2 in one second, and streams that the proxy has to reset for what came on them, but for streams that the proxy opened", func(l *Limits) *int { return &l.Resets }),
		flooding("pings", "PING of one in one second, beyond one for each DATA frame that the peer was sent", func(l *Limits) *int { return &l.Pings }),
		flooding("settings", "SETTINGS of one in one second", func(l *Limits) *int { return &l.Settings }),
		flooding("idle-frames", "frames of one in one second that have no effect: empty DATA, short DATA of closed streams, heads of such that the peer opened, GOAWAY, WINDOW_UPDATE of under 256 bytes beyond two for each DATA frame that the peer was sent, unknown types", func(l *Limits) *int { return &l.IdleFrames }),
		ending("bytes of answers to control frames, and of resets, that the peer does not read", mux.MaxAnswers),
		ending("CONTINUATION frames of one header block", frames.MaxContinuations),
		ending("bytes of one header block as it travels", frames.MaxBlockBytes),
		ending("seconds from the first frame of a header block to its last", seconds(mux.HeadTime)),
		{
			What: "bytes of a header block under way when buffers are over seven eighths used", Who: "client, application",
			Number: mux.MaxHeldBlock, Past: "the connection is ended", Code: calm,
		},
		ending("entries of one SETTINGS frame", frames.MaxSettings),
		{
			What: "heads of one stream, 1xx answers included; with its trailers they may have twice `head-bytes`", Who: "application, " + peers, Number: mux.MaxHeads,
			Past: "the stream is reset", Code: flow.BadResponse.String(),
		},
	}
}

func flooding(name, what string, field func(*Limits) *int) Row {
	return Row{Name: name, What: what, Who: everyone, Past: "the connection is ended", Code: calm, Least: 1, Most: many, field: field}
}

func ending(what string, n int) Row {
	return Row{What: what, Who: everyone, Number: n, Past: "the connection is ended", Code: calm}
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
		{
			What: "seconds that one waits", Who: asker, Number: seconds(send.QueueTime), Past: "the request is refused", Code: overloaded,
		},
		{
			What: "seconds until the first SETTINGS of a connection of HTTP/2", Who: "application", Number: seconds(send.SettleTime),
			Past: "the requests that wait fail", Code: flow.AppBadResponse.String(),
		},
		{
			What: "seconds to connect to the workload's application", Who: "application", Number: seconds(proxy.AppConnectTimeout),
			Past: "the request fails", Code: flow.AppTimeout.String(),
		},
		{
			What: "seconds to connect to a peer's proxy, or to what is not in the mesh", Who: peers, Number: seconds(proxy.PeerConnectTimeout),
			Past: "another instance is tried, then the request fails", Code: flow.ConnectTimeout.String(),
		},
		{
			What: "connections of HTTP/1 to one application that are kept without a request", Who: asker, Number: send.MaxIdleConns,
			Past: "the one that came free is closed", Code: "–",
		},
		{
			What: fmt.Sprintf("seconds for which the first %d of them are kept", send.LongIdleConns), Who: asker, Number: seconds(send.IdleTimeout),
			Past: "they are closed", Code: "–",
		},
		{
			What: "seconds for which the others are kept", Who: asker, Number: seconds(send.SpareTimeout), Past: "they are closed", Code: "–",
		},
		{
			What: "ports of the workload that nothing names and requests ask for, with connections kept", Who: asker, Number: proxy.MaxStrangers,
			Past: "the connections of all of them are closed that are idle", Code: "–",
		},
	}
}

func rest() []Row {
	return []Row{
		{
			Name: "series", What: "series of metrics; a histogram is one", Who: "client, " + peers,
			Past: "new edges count on the edge `other`", Code: "–", Least: 100, Most: many, field: func(l *Limits) *int { return &l.Series },
		},
		{
			What: "connections to the admin port", Who: anybody, Number: admin.MaxConns,
			Past: "the oldest of the address with the most is ended", Code: "–",
		},
		{
			What: "probes under way on the admin port", Who: anybody, Number: admin.MaxProbes, Past: "the probe gets 503", Code: "–",
		},
		{
			What: "bytes of one message of the control plane", Who: "control plane", Number: wire.MaxMessage,
			Past: "the stream is ended and opened again", Code: "–",
		},
	}
}

func seconds(d time.Duration) int { return int(d / time.Second) }
