package wire

import (
	"fmt"
	"net/netip"

	"github.com/leno-mesh/leno/wire/gen"
)

// What a peer may send at most. They are far above what a mesh needs, and low
// enough that no message takes unbounded memory once it is decoded.
const (
	// MaxMessage bounds one message on the stream, in bytes.
	MaxMessage = 16 << 20

	// MaxHeld and MaxWatches bound what one proxy can be interested in.
	MaxHeld    = 16384
	MaxWatches = 8192

	maxName       = 512 // names, zones, labels, header values in matches
	maxText       = 4096
	maxEndpoints  = 65536
	maxSets       = 1024
	maxRules      = 1024
	maxMatches    = 64
	maxConditions = 32
	maxBackends   = 64
	maxPorts      = 1024
	maxNetworks   = 1024
	maxPolicies   = 256
	maxIdentities = 4096
	maxLabels     = 64
	maxServices   = 256
	maxAnchors    = 64
	maxAnchor     = 16 << 10
)

// checker collects the first thing that is wrong, so that decoding reads as a
// list of fields and not as a list of ifs.
type checker struct {
	err error
}

func (c *checker) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf(format, args...)
	}
}

// count says whether a repeated field is within its bound.
func (c *checker) count(field string, n, limit int) bool {
	if n > limit {
		c.fail("%s: %d of them; at most %d", field, n, limit)
	}
	return c.err == nil
}

func (c *checker) text(field, s string, limit int) string {
	if len(s) > limit {
		c.fail("%s: %d bytes; at most %d", field, len(s), limit)
		return ""
	}
	return s
}

func (c *checker) name(field, s string) string { return c.text(field, s, maxName) }

func (c *checker) port(field string, p uint32) uint16 {
	if p > 65535 {
		c.fail("%s: port %d", field, p)
		return 0
	}
	return uint16(p)
}

// addr reads 0, 4 or 16 bytes. No bytes is the zero Addr.
func (c *checker) addr(field string, b []byte) netip.Addr {
	if len(b) == 0 {
		return netip.Addr{}
	}
	a, ok := netip.AddrFromSlice(b)
	if !ok {
		c.fail("%s: an address of %d bytes", field, len(b))
	}
	return a
}

func (c *checker) addrPort(field string, m *gen.AddrPort) netip.AddrPort {
	if m == nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(c.addr(field, m.GetAddr()), c.port(field, m.GetPort()))
}
