package proxy

import (
	"cmp"
	"context"
	"math"
	"sync"

	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/mux"
)

// outboundStream is a request of a client that speaks HTTP/2.
type outboundStream struct {
	outboundCall
	stream    accept.Stream
	interrupt func(*mux.StreamError)
}

type outboundStreams struct{ pool sync.Pool }

func (p *outboundStreams) get(o *outbound, fixed *destination) *outboundStream {
	x, ok := p.pool.Get().(*outboundStream)
	if !ok {
		x = &outboundStream{}
		x.begin(o, &x.stream)
		x.interrupt = x.relay.Gone
	}
	x.fixed = fixed
	x.relay.Response.Extended = false // of the answer before
	return x
}

// put takes the state back. Its stream, which is released a moment later, must
// not reach it any more.
func (p *outboundStreams) put(x *outboundStream) {
	x.stream.OnAbort(nil)
	x.release()
	x.seat = nil
	p.pool.Put(x)
}

// multiplexed serves a client's connection of HTTP/2.
func (o *outbound) multiplexed(ctx context.Context, c *flow.Conn, fixed *destination) {
	cfg := o.outClients
	// They are all this workload's, so what counts is the connection.
	cfg.Share = &mux.Share{Max: cmp.Or(cfg.MaxStreams, math.MaxInt), PerFree: sharePerFree}
	if fixed != nil && fixed.connect.Load() {
		cfg.Settings = []http2.Setting{takesConnect}
	}
	o.clients.serve(ctx, c, cfg, func(seat *flow.Seat, st *mux.Stream) { o.stream(ctx, seat, fixed, st) })
}

// learn tells the client that extended CONNECT works all the way, once an answer
// showed it. The next clients are told at once.
func (x *outboundStream) learn() {
	if x.relay.Response.Extended && x.fixed != nil {
		x.fixed.connect.Store(true)
		x.stream.Announce(takesConnect)
	}
}

// end ends a stream whose answer could not be given whole.
func (x *outboundStream) end(out flow.Outcome) {
	if out.Err != nil && !out.Told {
		x.failure.Cut(x.caller, out.Err, &x.request, &x.relay.Response)
	}
}
