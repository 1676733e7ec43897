package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strconv"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/send"
	"github.com/leno-mesh/leno/telemetry"
)

func portText(n uint16) string { return strconv.Itoa(int(n)) }

// inboundHTTP is the state of one plain HTTP connection to the application.
type inboundHTTP struct {
	*inbound
	conn    *flow.Conn
	caller  *accept.HTTP1
	request flow.Request
	relay   flow.Relay
	failure flow.Failure
}

func newInboundHTTP(i *inbound, c *flow.Conn) *inboundHTTP {
	x := &inboundHTTP{inbound: i, conn: c}
	x.caller = accept.NewHTTP1(c, i.limits, i.draining.Load)
	x.relay.OnFailure = func(e *flow.Error) {
		x.caller.Spoil()
		_ = x.failure.Answer(x.caller, e, &x.request)
	}
	x.relay.Keep, x.relay.Buffers, x.relay.Untaken = true, i.buffers, i.times.Untaken
	return x
}

// serve is one request of a client outside the mesh.
func (x *inboundHTTP) serve(ctx context.Context, from *caller, port *ownPort) flow.Outcome {
	x.busy.Add(1)
	defer x.busy.Add(-1)
	start := time.Now()
	h := from.counters(port).HTTP()
	h.Request()
	if !x.judge(port, from.Identity, false).Allowed {
		return x.fail(h, flow.Fail(flow.Denied, nil))
	}
	var out flow.Outcome
	for try := 0; ; try++ {
		ex, err := port.app.Get(ctx, &x.request, try > 0)
		if err != nil {
			return x.fail(h, flow.AsError(err, flow.AppRefused))
		}
		out = x.relay.Run(x.caller, ex, &x.request, 0)
		if !x.onceMore(out, try) {
			break
		}
	}
	return x.finish(h, out, start)
}

// finish counts a request, and answers it if the application did not.
func (x *inboundHTTP) finish(h *telemetry.HTTP, out flow.Outcome, start time.Time) flow.Outcome {
	if out.Err != nil && !out.Answered {
		return x.fail(h, out.Err)
	}
	count(h, &x.relay, &x.request, out, start)
	return out
}

func (x *inboundHTTP) fail(h *telemetry.HTTP, e *flow.Error) flow.Outcome {
	x.relay.Forget()
	h.Failed(e.Reason.String())
	respondedSelf(h, e.Reason, &x.request)
	if _, whole := x.caller.Buffered(); !whole {
		x.caller.Spoil()
	}
	if err := x.failure.Answer(x.caller, e, &x.request); err != nil {
		return flow.Outcome{Err: flow.Fail(flow.ClientGone, err), Answered: true}
	}
	return flow.Outcome{Answered: true, Clean: true}
}

// end closes the connection after its last answer.
func (x *inboundHTTP) end(out flow.Outcome) {
	if out.Err != nil && !out.Told {
		x.caller.Abort(out.Err.Reason, out.Err.Code)
		return
	}
	x.conn.Linger()
}

func (x *inboundHTTP) unreadable(err error) {
	var e *flow.Error
	if !errors.As(err, &e) {
		if !errors.Is(err, io.EOF) {
			x.conn.Abort()
		}
		return
	}
	refuse(x.core, telemetry.Inbound, x.conn, x.caller, &x.failure, e)
}

// tunnel serves a request that may change the protocol, and all that follows.
func (x *inboundHTTP) tunnel(ctx context.Context, from *caller, port *ownPort) {
	start := time.Now()
	x.caller.Spoil() // whatever comes back, this is the connection's last request
	h := from.counters(port).HTTP()
	h.Request()
	if !x.judge(port, from.Identity, false).Allowed {
		x.end(x.fail(h, flow.Fail(flow.Denied, nil)))
		return
	}
	app, err := port.app.Open(ctx)
	if err != nil {
		x.end(x.fail(h, flow.NotHanded(flow.AppRefused, err)))
		return
	}
	t := send.NewTunnel(flow.ConnDuplex{Conn: flow.NewConn(app, x.buffers)}, port.app.HTTPConfig)
	out := x.finish(h, x.relay.Run(x.caller, t, &x.request, 0), start)
	if !out.Switched {
		x.end(out)
		return
	}
	up := flow.ConnDuplex{Conn: x.conn}
	x.join(from, port, up, up, t.Duplex())
}

// detect finds out what a plain connection speaks, as on the outbound side.
func (i *inbound) detect(ctx context.Context, c *flow.Conn, from *caller, port *ownPort) (mesh.Protocol, flow.Duplex, error) {
	if port.Protocol == mesh.Opaque {
		return mesh.Opaque, nil, nil
	}
	grace := i.grace
	if hintsHTTP(port.Protocol) {
		grace = -1 // the server does not speak first
	}
	p, err := accept.Client(c, grace)
	if err != nil || p != mesh.Detect {
		return p, nil, err
	}
	if !i.judge(port, from.Identity, true).Allowed {
		return mesh.Detect, nil, flow.Fail(flow.Denied, nil)
	}
	app, err := port.app.Dial(ctx)
	if err != nil {
		return mesh.Detect, nil, flow.NotHanded(flow.AppRefused, err)
	}
	c.Seat.Hold()
	return i.watch(c, port, app)
}

// watch finds out what a connection speaks whose way to the application is
// open. A connection to the application that turns out not to be needed waits
// for the first request.
func (i *inbound) watch(c *flow.Conn, port *ownPort, app net.Conn) (mesh.Protocol, flow.Duplex, error) {
	w := accept.NewWatch(c, flow.NewConn(app, i.buffers))
	p, _, err := w.Decide()
	if err != nil || isHTTP(p) {
		if left := w.Forget(); left != nil {
			port.app.Adopt(left)
		}
		return p, nil, err
	}
	return p, w.Opaque(), nil
}

// opaque passes a connection whose bytes are not looked at. The way to the
// application may be open already.
func (i *inbound) opaque(ctx context.Context, c *flow.Conn, from *caller, port *ownPort, early flow.Duplex) {
	if !i.judge(port, from.Identity, true).Allowed {
		if early != nil {
			early.Abort(flow.Denied)
		}
		i.refused(c, flow.Fail(flow.Denied, nil))
		return
	}
	if early == nil {
		app, err := port.app.Dial(ctx)
		if err != nil {
			i.refused(c, flow.NotHanded(flow.AppRefused, err))
			return
		}
		early = flow.ConnDuplex{Conn: flow.NewConn(app, i.buffers)}
	}
	up := flow.ConnDuplex{Conn: c}
	client := flow.Duplex(up)
	if port.Protocol != mesh.Opaque {
		client = accept.Guard(up)
	}
	i.join(from, port, up, client, early)
}

// refused ends a plain connection for which there is nobody to answer.
func (i *inbound) refused(c *flow.Conn, err error) {
	e := flow.AsError(err, flow.ClientGone)
	i.metrics.Failed(telemetry.Inbound, e.Reason.String())
	i.log.Debug("connection refused", "direction", "inbound", "reason", e.Reason.String(), "error", e.Err)
	c.Abort()
}

// unnamed gives a port that is in no snapshot by its number: no service of the
// mesh leads there, and it is reached as it was before the mesh, where the
// policies for such ports allow it. The proxy's own ports never are.
func (i *inbound) unnamed(to netip.AddrPort) *ownPort {
	if i.ports[to.Port()] {
		return nil
	}
	var others *mesh.Port
	if own := i.own.inbound(); own != nil {
		others = own.Others
	}
	return i.strangers.get(to, others)
}
