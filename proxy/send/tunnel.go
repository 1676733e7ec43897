package send

import (
	"net"

	"github.com/leno-mesh/leno/proxy/flow"
)

// Tunnel is an exchange on a connection of its own, for a request whose answer
// may end HTTP there: Upgrade and CONNECT.
type Tunnel struct{ httpConn }

// NewTunnel makes the exchange on an opaque connection that nothing was read
// from yet. It takes it over.
func NewTunnel(d flow.Duplex, cfg HTTPConfig) *Tunnel {
	pool := NewHTTP(cfg)
	pool.Close() // so that the connection is not kept
	return &Tunnel{httpConn{conn: flow.NewConn(Conn(d), cfg.Buffers), pool: pool, tunnel: true}}
}

// Duplex gives the connection after an answer that ended HTTP.
func (t *Tunnel) Duplex() flow.Duplex { return Direct(flow.ConnDuplex{Conn: t.conn}) }

// Conn gives an opaque connection that nothing was read from yet as one whose
// reads have deadlines. It takes it over.
func Conn(d flow.Duplex) net.Conn {
	if s, ok := d.(*flow.StreamDuplex); ok {
		return flow.NewStreamConn(s)
	}
	return d.(flow.ConnDuplex).Conn.Conn
}

// Direct says that a connection needs no deadlines any more.
func Direct(d flow.ConnDuplex) flow.Duplex {
	if s, ok := d.Conn.Conn.(*flow.StreamConn); ok {
		s.Direct()
	}
	return d
}
