package mux

import (
	"net"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// DefaultMaxStreams is the number of streams on one link at once.
const DefaultMaxStreams = 1024

// Turn is how many bytes a stream may send before it is another's turn: with
// the frame's header they fill a TLS record.
const Turn = http2.MinMaxFrame - frameHeaderLen

// Numbers of docs/link.md that are not configured.
const (
	gatherLimit   = 48 << 10    // DATA bytes of a write that takes no further turn: 64 KiB at most
	backlogLimit  = 256 << 10   // bytes waiting to be written, all kinds
	freeHeads     = 4 << 10     // bytes of a stream's heads that its place pays for
	shedUnread    = 32 << 10    // unread bytes of a stream that is shed over budget
	defaultPeerMx = 100         // streams before the peer's SETTINGS came
	lingerTime    = time.Second // waiting for the peer's end after ours
	tickEvery     = time.Second // between two looks at a connection with streams, at most
	maxOther      = 16          // settings of the peer that are kept for PeerSetting

	frameHeaderLen = http2.FrameHeaderLen
	resetLen       = 4 // payload of RST_STREAM
)

// MaxHeads is how many heads a stream may have: interim ones and the final one.
const MaxHeads = 16

// headsTimes is how often MaxHeaderBytes all heads of a stream may take together.
const headsTimes = 2

// HeadTime is how long a header block may take from its first frame to its last.
const HeadTime = 30 * time.Second

// MaxHeldBlock is how many bytes the header block of a stranger may hold before
// it ends, when memory is short.
const MaxHeldBlock = 8 << 10

// Config is how a link behaves. The zero value is ready to use.
type Config struct {
	// MaxStreams is the number of streams at once, for both sides. Default
	// DefaultMaxStreams.
	MaxStreams int
	// StreamWindow is the receive window in bytes that a stream starts with,
	// and MaxStreamWindow what it may grow to. Defaults 64 KiB and 1 MiB.
	StreamWindow, MaxStreamWindow int
	// ConnWindow is the receive window in bytes of the link. Default 1 MiB.
	ConnWindow int
	// MaxHeaderBytes is the largest head taken, as RFC 9113, section 10.5.1
	// counts it. Default 64 KiB.
	MaxHeaderBytes int
	// MaxFields is the number of fields of a head, pseudo-header fields among
	// them. Default 144.
	MaxFields int
	// HeaderTable is the dynamic table in bytes, for both sides. Default 16 KiB.
	HeaderTable int
	// PingAfter is how long nothing may come after something was sent.
	// Default 1 s.
	PingAfter time.Duration
	// PingTimeout is how long a PING may stay without an answer before the
	// link is closed. Default 3 s.
	PingTimeout time.Duration
	// KeepAlive is after how long of silence on both sides a connection with
	// streams is pinged. Default 10 s.
	KeepAlive time.Duration
	// Strict is for peers that Leno does not know. What it does beyond the
	// framing is held against RFC 9113 too: the lengths that heads promise,
	// trailers, and frames on streams that have ended.
	Strict bool
	// Budget is the memory that links share. Default: 64 MiB of its own.
	Budget *Budget
	// Floods bounds what the peer may send in one second.
	Floods Floods
	// Frames bounds what its frames may hold and make wait.
	Frames Frames
	// OnFlood, if there is one, hears of a connection that was ended for what its
	// peer sent, and for which bound, in a closed set fit for a metric label.
	OnFlood func(peer net.Addr, limit string, err error)
	// OnAnswer, if there is one, is called when a connection that was Silent is so
	// no more.
	OnAnswer func()
	// Share is what the links of one peer have together; nil means no bound.
	Share *Share
	// Settings are sent with our first ones, for PeerSetting at the other end.
	Settings []http2.Setting
}

func (c Config) withDefaults() Config {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&c.MaxStreams, DefaultMaxStreams)
	def(&c.StreamWindow, 64<<10)
	def(&c.MaxStreamWindow, max(1<<20, c.StreamWindow))
	def(&c.ConnWindow, 1<<20)
	c.ConnWindow = max(c.ConnWindow, http2.DefaultWindow)
	def(&c.MaxHeaderBytes, 64<<10)
	def(&c.HeaderTable, 16<<10)
	def(&c.Floods.Resets, DefaultResets)
	def(&c.Floods.Pings, DefaultPings)
	def(&c.Floods.Settings, DefaultSettings)
	def(&c.Floods.Idle, DefaultIdle)
	if c.KeepAlive <= 0 {
		c.KeepAlive = 10 * time.Second
	}
	if c.PingAfter <= 0 {
		c.PingAfter = time.Second
	}
	if c.PingTimeout <= 0 {
		c.PingTimeout = 3 * time.Second
	}
	if c.Budget == nil {
		c.Budget = NewBudget(64 << 20)
	}
	return c
}
