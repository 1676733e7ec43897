package limits

import (
	"fmt"
	"syscall"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/admin"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/proxy/send"
)

// Limits are the numbers of one proxy process.
type Limits struct {
	Memory int64  // bytes in all
	From   string // where Memory comes from
	Heap   int64  // soft limit of the Go runtime, in bytes (GOMEMLIMIT)

	// Computed from Memory unless they are set.
	Connections   int // of each side: towards the workload, and of its clients
	IdleConns     int // of HTTP/1 to all applications, without a request
	Handshakes    int // of links, under way
	Streams       int // of all links, being served
	PeerStreams   int // of one peer's links, being served
	ClientStreams int // of clients' connections of HTTP/2, being served
	LinkBuffers   int // bytes received on links that nobody took yet
	WideBuffers   int // bytes of connections' buffers beyond the small ones
	Destinations  int // that clients made the proxy ask for
	Unsent        int // bytes that wait in the kernel for one connection

	// The same whatever the memory, unless they are set.
	PeerLinks   int // links of one workload
	LinkStreams int // streams of one link
	HeadBytes   int
	LineBytes   int
	HeadFields  int // Leno's own and pseudo-header fields not counted
	Resets      int // in one second on one link, as the three below
	Pings       int
	Settings    int
	IdleFrames  int
	Answers     int // bytes that one peer does not read
	AppConns    int // of HTTP/2, to one application
	AppQueue    int // requests that wait for one of these
	Awaiting    int // requests that wait for one destination
	Strangers   int // ports that nothing names
	Told        int // refused connections that are being told why
	Endpoints   int // that one request is offered to
	SentAway    int // times that one is sent to an application which ends its connections
	AdminConns  int
	AdminProbes int
	Series      int // of metrics

	ChunkLine    int // bytes of the line before a chunk
	TrailerBytes int
	Trailers     int // fields
	Interim      int // 1xx answers to one request
	AppIdle      int // connections to one application without a request
	AppIdleLong  int // of these, such as are kept for long

	Continuations int // of one header block
	BlockBytes    int // of one header block as it travels
	HeldBlock     int // of the same, when memory is short
	Entries       int // of one SETTINGS frame
	Stall         int // seconds for which a stream's window may be shut

	// Seconds; see proxy.Times.
	OpaqueQuiet, Part, ClientIdle, SlowBody int
	ClientEnded, Answer, Room, Tell         int
	Head, Handshake, Start, Connect         int
	AppConnect, AppQueueTime, AppSettle     int
	Linger, Untaken, AppIdleTime, AppSpare  int
}

const (
	defaultMemory = 256 << 20
	leastMemory   = 32 << 20
	baseMemory    = 12 << 20  // the program itself and what it knows
	mostPart      = 256 << 20 // more is of no use

	// What one of each takes, measured on busy ones.
	connCost        = 20 << 10
	streamCost      = 24 << 10
	handshakeCost   = 64 << 10
	destinationCost = 4 << 10

	// So much may wait in the kernel for one connection: with less, one that reads
	// well would be kept waiting.
	leastUnsent, mostUnsent = 16 << 10, 64 << 10

	// Below littleMemory streams begin with a little window: many that are slow
	// at once must not use up what links may hold.
	littleMemory = 128 << 20
	littleWindow = 16 << 10

	// ownFields is how many pseudo-header fields and fields of Leno's own a head of
	// HTTP/2 may have besides.
	ownFields = 16

	// DefaultPeerLinks is enough for a peer's second link while the first is
	// full, and for replacing both.
	DefaultPeerLinks = 8
	// DefaultSeries bounds the series of metrics.
	DefaultSeries = 2000
)

// For computes the limits from a memory limit in bytes; 0 asks the control
// group, and without one takes 256 MiB. What set names has its number instead;
// names are those of Table.
func For(memory int64, set map[string]int) (Limits, error) {
	from := "option"
	if memory <= 0 {
		memory, from = groupMemory("/"), "control group"
		if memory > defaultMemory {
			memory, from = defaultMemory, "default"
		}
	}
	l := OfMemory(memory)
	l.From = from
	l.Connections = min(l.Connections, openFiles()/8)
	l.IdleConns = min(l.IdleConns, l.Connections)
	for name, n := range set {
		if err := l.set(name, n); err != nil {
			return l, err
		}
	}
	l.follow(set)
	l.LinkStreams = min(l.LinkStreams, max(1, l.PeerStreams))
	return l, nil
}

// follow computes what follows from another number, unless it is set.
func (l *Limits) follow(set map[string]int) {
	for name, n := range map[string]int{
		"block-bytes": 2 * l.HeadBytes, "trailer-bytes": l.HeadBytes / 4, "trailer-fields": l.HeadFields / 2,
	} {
		if _, is := set[name]; !is {
			_ = l.set(name, n) // the bounds of one follow from those of the other
		}
	}
}

// OfMemory computes the limits that follow from so many bytes of memory alone.
func OfMemory(memory int64) Limits {
	l := Limits{Memory: max(memory, leastMemory)}
	l.fromMemory()
	l.fixed()
	return l
}

// fromMemory gives each resource its part, so that all of them at once fit:
// three eighths of what is free are for connections, two for streams, two for
// what links received, one for wide buffers. The rest of the memory is for the
// kernel's part and for what the collector has not collected yet; what waits in
// the kernel for one side's connections fits into it when none of them reads.
func (l *Limits) fromMemory() {
	l.Heap = l.Memory * 4 / 5
	part := int(min((l.Heap-baseMemory)/8, mostPart)) &^ (4<<10 - 1)
	l.Connections = 3 * part / 2 / connCost // two sides
	l.IdleConns = l.Connections
	l.Handshakes = min(max(part/handshakeCost, 16), 512)
	l.Streams = 2 * part / streamCost
	l.PeerStreams = l.Streams / 2
	l.ClientStreams = l.Streams / 2
	l.LinkBuffers = 2 * part
	l.WideBuffers = part
	l.Destinations = min(max(part/destinationCost/2, 64), 4096)
	l.Unsent = min(max(int(l.Memory-l.Heap)/l.Connections&^(4<<10-1), leastUnsent), mostUnsent)
}

func (l *Limits) fixed() {
	l.PeerLinks, l.LinkStreams = DefaultPeerLinks, mux.DefaultMaxStreams
	l.HeadBytes, l.LineBytes, l.HeadFields = http1.DefaultHead, http1.DefaultLine, http1.DefaultFields
	l.ChunkLine, l.TrailerBytes, l.Trailers, l.Interim = http1.DefaultChunkLine, http1.DefaultTrailerBytes, http1.DefaultTrailers, http1.DefaultInterim
	l.Resets, l.Pings, l.Settings, l.IdleFrames = mux.DefaultResets, mux.DefaultPings, mux.DefaultSettings, mux.DefaultIdle
	frames := http2.NewReader(http2.Limits{}).Limits()
	l.Continuations, l.BlockBytes, l.Entries = frames.MaxContinuations, frames.MaxBlockBytes, frames.MaxSettings
	l.HeldBlock, l.Answers, l.Stall = mux.MaxHeldBlock, mux.MaxAnswers, seconds(mux.StallTime)
	l.AppConns, l.AppQueue, l.AppIdle, l.AppIdleLong = send.DefaultShared, send.DefaultQueued, send.MaxIdleConns, send.LongIdleConns
	l.Series = DefaultSeries
	l.Awaiting, l.Strangers, l.Told = proxy.MaxAwaiting, proxy.MaxStrangers, proxy.MaxTold
	l.Endpoints, l.SentAway = proxy.MaxTries, proxy.MaxSentAway
	l.AdminConns, l.AdminProbes = admin.MaxConns, admin.MaxProbes
	t := proxy.Times{}.WithDefaults()
	for n, d := range l.times(&t) {
		*n = seconds(*d)
	}
}

// set changes one number.
func (l *Limits) set(name string, n int) error {
	for _, row := range Table() {
		if row.field == nil || row.Name != name {
			continue
		}
		if n < row.Least || n > row.Most {
			return fmt.Errorf("--limit %s=%d: want %d to %d", name, n, row.Least, row.Most)
		}
		*row.field(l) = n
		return nil
	}
	return fmt.Errorf("--limit %s: there is no such limit that can be set; docs/limits.md lists them", name)
}

// Parse reads "NAME=NUMBER".
func Parse(s string) (name string, n int, err error) {
	if name, n, err = mesh.ParseProxyLimit(s); err != nil {
		return "", 0, fmt.Errorf("--limit %q %w", s, err)
	}
	return name, n, nil
}

// openFiles is how many descriptors the process may have. Each connection
// takes up to two, with one more while it is spliced.
func openFiles() int {
	var r syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r) != nil || r.Cur > 1<<30 {
		return 1 << 30
	}
	return int(r.Cur)
}

// times pairs each number of seconds with what has it.
func (l *Limits) times(t *proxy.Times) map[*int]*time.Duration {
	return map[*int]*time.Duration{
		&l.OpaqueQuiet: &t.OpaqueQuiet, &l.Part: &t.Part, &l.ClientIdle: &t.ClientIdle, &l.SlowBody: &t.SlowBody,
		&l.ClientEnded: &t.ClientEnded, &l.Answer: &t.Answer, &l.Room: &t.Room, &l.Tell: &t.Tell,
		&l.Head: &t.Head, &l.Handshake: &t.Handshake, &l.Start: &t.Start, &l.Connect: &t.Connect,
		&l.AppConnect: &t.AppConnect, &l.AppQueueTime: &t.AppQueue, &l.AppSettle: &t.AppSettle,
		&l.Linger: &t.Linger, &l.Untaken: &t.Untaken, &l.AppIdleTime: &t.AppIdle, &l.AppSpare: &t.AppSpare,
	}
}

// Times gives what a proxy waits for.
func (l *Limits) Times() (t proxy.Times) {
	for n, d := range l.times(&t) {
		*d = time.Duration(*n) * time.Second
	}
	return t
}

// Tries gives how often a request is sent.
func (l *Limits) Tries() proxy.Tries {
	return proxy.Tries{Endpoints: l.Endpoints, SentAway: l.SentAway}
}

// HTTP1 gives the part of the codec.
func (l *Limits) HTTP1() http1.Limits {
	return http1.Limits{
		Head: l.HeadBytes, Line: l.LineBytes, Fields: l.HeadFields,
		ChunkLine: l.ChunkLine, TrailerBytes: l.TrailerBytes, Trailers: l.Trailers, Interim: l.Interim,
	}
}

// Link gives the part of links.
func (l *Limits) Link() mux.Config {
	budget := mux.NewBudget(int64(l.LinkBuffers))
	budget.MaxServed = l.Streams
	window := 0 // the default
	if l.Memory < littleMemory {
		window = littleWindow
	}
	return mux.Config{
		StreamWindow: window,
		MaxStreams:   l.LinkStreams, MaxHeaderBytes: l.HeadBytes, MaxFields: l.HeadFields + ownFields, Budget: budget,
		Floods: mux.Floods{Resets: l.Resets, Pings: l.Pings, Settings: l.Settings, Idle: l.IdleFrames},
		Frames: mux.Frames{
			Continuations: l.Continuations, BlockBytes: l.BlockBytes, Settings: l.Entries,
			Answers: l.Answers, Stall: time.Duration(l.Stall) * time.Second,
			Head: time.Duration(l.Head) * time.Second, HeldBlock: l.HeldBlock,
			Heads: l.Interim + 1, // and the final one
		},
	}
}
