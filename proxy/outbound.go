package proxy

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/balance"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/telemetry"
)

// outbound takes the connections of this workload's clients.
type outbound struct {
	*core
	destinations *destinations
	lookup       func(ctx context.Context, host string) ([]netip.Addr, error)
	streams      outboundStreams
}

// connection is the loop of one connection: accept, route, and either the
// request loop or an opaque pipe. Target is known when the connection was
// redirected or came to a configured upstream; otherwise every request names
// its own.
func (o *outbound) connection(ctx context.Context, c *flow.Conn, target mesh.Target) {
	if target == (mesh.Target{}) {
		o.forward(ctx, c)
		return
	}
	d, err := o.destinations.acquire(target)
	if err != nil {
		o.failed(c, err)
		return
	}
	defer o.destinations.release(d)
	r, err := o.resolve(ctx, d)
	if err != nil {
		o.refuse(ctx, c, d, err)
		return
	}
	o.carry(ctx, c, d, r, nil)
}

// carry serves a connection, or what is inside a tunnel, whose destination can be
// used. The way there may be open already.
func (o *outbound) carry(ctx context.Context, c *flow.Conn, d *destination, r *resolved, e *early) {
	switch p, e, err := o.detect(ctx, c, d, r, e); {
	case err != nil:
		o.undetected(c, err)
	case p == mesh.HTTP1:
		o.requests(ctx, c, d)
	case p == mesh.HTTP2:
		o.multiplexed(ctx, c, d)
	default:
		o.opaque(ctx, c, d, r, e)
	}
}

// forward serves a connection whose requests must name where they go.
func (o *outbound) forward(ctx context.Context, c *flow.Conn) {
	switch p, err := accept.Client(c, -1); {
	case err != nil:
		o.undetected(c, err)
	case p == mesh.HTTP1:
		o.requests(ctx, c, nil)
	case p == mesh.HTTP2:
		o.multiplexed(ctx, c, nil)
	default:
		o.failed(c, flow.Fail(flow.BadRequest, errNoTarget))
	}
}

var errNoTarget = errors.New("only HTTP requests and CONNECT say where they go; use an upstream for other protocols")

// requests is the loop of one HTTP/1 connection.
func (o *outbound) requests(ctx context.Context, c *flow.Conn, fixed *destination) {
	x := newOutboundHTTP(o, c, fixed)
	defer x.release()
	defer context.AfterFunc(ctx, x.relay.End)()
	c.Seat.OnEnd(func() { x.relay.EndFor(flow.ClientGone, http2.ErrCodeCancel) })
	c.Seat.OnSlow(func() { x.relay.Interrupt(flow.SlowRequest, http2.ErrCodeCancel) })
	for {
		if err := x.http1.ReadRequest(&x.request); err != nil {
			x.unreadable(err)
			return
		}
		if x.request.Upgrade != "" || x.request.Form == flow.FormAuthority {
			x.tunnel(ctx)
			return
		}
		if out := x.serve(ctx); !out.Clean || !x.http1.Again() {
			x.end(out)
			return
		}
		x.relay.Rest(&x.request)
		x.http1.Rest()
	}
}

// stream is one request of a connection of HTTP/2.
func (o *outbound) stream(ctx context.Context, seat *flow.Seat, fixed *destination, st *mux.Stream) {
	x := o.streams.get(o, fixed)
	defer o.streams.put(x)
	x.seat = seat
	if err := x.stream.ReadPlain(st, seat, &x.request); err != nil {
		malformed(x.core, telemetry.Outbound, &x.stream, &x.failure, err)
		return
	}
	x.relay.Await()
	x.stream.OnAbort(x.interrupt)
	if x.request.Form == flow.FormAuthority && x.fixed == nil {
		x.connectMethod(ctx)
		return
	}
	out := x.serve(ctx)
	x.learn()
	x.end(out)
}

// serve is one request: route, then balance and send until an endpoint
// answered or none is left that may be tried.
func (x *outboundCall) serve(ctx context.Context) flow.Outcome {
	x.busy.Add(1)
	defer x.busy.Add(-1)
	start := time.Now()
	r, err := x.route(ctx)
	if err != nil {
		return x.fail(flow.AsError(err, flow.UnknownDestination), nil)
	}
	timeout, set, failure := x.match(ctx, r)
	if failure != nil {
		return x.fail(failure, nil)
	}
	x.tried = x.tried[:0]
	var last *flow.Error
	var room room
	for begun := start; ; begun = time.Now() {
		ep := x.pick(set, last)
		if ep == nil || len(x.tried) >= x.mostTries(last) {
			if !x.makeRoom(ctx, &room) {
				break
			}
			x.tried = x.tried[:0]
			continue
		}
		out := x.send(ctx, ep, left(timeout, start, begun), last != nil)
		x.note(ep, out, begun)
		if out.Err == nil || out.Answered || !out.Err.NotHanded || !out.Again {
			return x.finish(ep, out, start)
		}
		last = out.Err
		room.note(last, ep)
		x.tried = append(x.tried, ep)
	}
	if last == nil {
		last = flow.NotHanded(flow.NoEndpoints, nil)
	}
	return x.fail(last, x.lastTried())
}

// send puts the request on its way to one endpoint and relays the answer.
func (x *outboundCall) send(ctx context.Context, ep *balance.Endpoint[*instance], timeout time.Duration, fresh bool) flow.Outcome {
	in := ep.Peer
	x.seat.Uses(in.Place())
	defer x.seat.Used(in.Place())
	ex, err := in.Exchange(x.relay.Opening(ctx, &x.request), &x.request, in.where, in.httpTarget, fresh)
	if err != nil {
		return flow.Outcome{Err: flow.AsError(err, flow.ConnectFailed), Again: true}
	}
	return x.relay.Run(x.caller, ex, &x.request, timeout)
}
