package send

import (
	"net"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http1"
)

// Tunnel is an exchange on a connection of its own, for a request whose answer
// may end HTTP there: Upgrade and CONNECT.
type Tunnel struct {
	httpConn
	// Meshed says that a peer's proxy reads the request at the other end, and may
	// answer it itself.
	Meshed bool
}

// NewTunnel makes the exchange on an opaque connection that nothing was read
// from yet. It takes it over.
func NewTunnel(d flow.Duplex, cfg HTTPConfig) *Tunnel {
	pool := NewHTTP(cfg)
	pool.Close() // so that the connection is not kept
	return &Tunnel{httpConn: httpConn{conn: flow.NewConn(Conn(d), cfg.Buffers), pool: pool, tunnel: true}}
}

// Receive is part of flow.Exchange. An answer that the peer's proxy made itself says
// why in leno-reason, which it takes out of the answers that it relays.
func (t *Tunnel) Receive(r *flow.Response) error {
	if err := t.httpConn.Receive(r); err != nil || !t.Meshed {
		return err
	}
	for i := range t.parser.Fields {
		f := &t.parser.Fields[i]
		if f.Kind == http1.KindLeno && flow.EqualFold(flow.View(f.Name), flow.FieldReason) {
			return &flow.Error{Reason: flow.ParseReason(flow.View(f.Value)), Remote: true}
		}
	}
	return nil
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
