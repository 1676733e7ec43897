package link

import (
	"fmt"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// DefaultMaxStreams is the number of streams on one link at once.
const DefaultMaxStreams = 1024

// ALPN is the protocol name in the TLS handshake; the number is the major
// version of docs/link.md.
const ALPN = "leno/1"

// Version is the minor version that this code speaks.
const Version = 1

// Numbers of docs/link.md that are not configured.
const (
	gatherLimit   = 32 << 10                           // DATA bytes in one write
	dataQuantum   = http2.MinMaxFrame - frameHeaderLen // one turn of a stream: fills a TLS record
	backlogLimit  = 256 << 10                          // bytes waiting to be written, all kinds
	shedUnread    = 32 << 10                           // unread bytes of a stream that is shed over budget
	defaultPeerMx = 100                                // streams before the peer's SETTINGS came
	keepAlive     = 10 * time.Second                   // PING with open streams and nothing to say
	lingerTime    = time.Second                        // waiting for the peer's end after ours

	frameHeaderLen = http2.FrameHeaderLen
)

// MaxHeads is how many heads a stream may have: interim ones and the final one.
const MaxHeads = 16

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
	// HeaderTable is the dynamic table in bytes, for both sides. Default 16 KiB.
	HeaderTable int
	// PingAfter is how long nothing may come after something was sent.
	// Default 1 s.
	PingAfter time.Duration
	// PingTimeout is how long a PING may stay without an answer before the
	// link is closed. Default 3 s.
	PingTimeout time.Duration
	// Budget is the memory that links share. Default: 64 MiB of its own.
	Budget *Budget
	// Floods bounds what the peer may send in one second.
	Floods Floods
	// Share is what the links of one peer have together; nil means no bound.
	Share *Share
	// Software is the release of this proxy, "major.minor.patch".
	Software string
	// Features is the set of bits for LENO_FEATURES.
	Features uint32
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

// Private settings (docs/link.md, "Capabilities").
const (
	settingVersion  http2.SettingID = 0xf1e0
	settingFeatures http2.SettingID = 0xf1e1
	settingSoftware http2.SettingID = 0xf1e2
)

// Capabilities are what the peer said about itself in its first SETTINGS. All
// are zero before these have come, and for what it did not say.
type Capabilities struct {
	Version  uint32
	Features uint32
	Software string // "major.minor.patch"
}

// packSoftware makes a number of "major.minor.patch"; anything else is 0.
func packSoftware(s string) uint32 {
	var major, minor, patch uint32
	if n, err := fmt.Sscanf(s, "%d.%d.%d", &major, &minor, &patch); n != 3 || err != nil {
		return 0
	}
	return min(major, 0xffff)<<16 | min(minor, 0xff)<<8 | min(patch, 0xff)
}

func unpackSoftware(v uint32) string {
	if v == 0 {
		return ""
	}
	return fmt.Sprintf("%d.%d.%d", v>>16, v>>8&0xff, v&0xff)
}
