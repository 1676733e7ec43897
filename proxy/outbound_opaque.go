package proxy

import (
	"context"
	"errors"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/balance"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/send"
	"github.com/leno-mesh/leno/telemetry"
)

// connectWait bounds the wait for an application behind an opaque stream.
const connectWait = 5 * time.Second

// lastWords is how long a client whose connection leads nowhere may take to
// show that it speaks HTTP, and so can be told the reason. Others must not
// wait: their servers would have spoken first.
const lastWords = 100 * time.Millisecond

// serverFirstMemory is how long it is remembered that a destination's server
// speaks first. It only saves the grace; it decides nothing.
const serverFirstMemory = 10 * time.Minute

// early is a way to the server that was opened before the protocol was known.
type early struct {
	ep *balance.Endpoint[*instance]
	up flow.Duplex
}

// detect finds out what the connection speaks. When the client keeps silent
// the way to the server is opened early, if it is not open yet. It comes back in
// early, unless the protocol turned out to be HTTP.
func (o *outbound) detect(ctx context.Context, c *flow.Conn, d *destination, r *resolved, e *early) (mesh.Protocol, *early, error) {
	switch {
	case r.Protocol == mesh.Opaque:
		o.detected(accept.ByHint)
		return mesh.Opaque, e, nil
	case e != nil:
		return o.watch(c, d, e)
	}
	grace := o.grace
	switch {
	case hintsHTTP(r.Protocol):
		grace = -1 // the server does not speak first
	case o.speaksFirst(d):
		grace = 0
	}
	p, err := accept.Client(c, grace)
	if err != nil || p != mesh.Detect {
		if err == nil {
			o.detected(accept.ByClient)
		}
		return p, nil, err
	}
	e, err = o.connect(ctx, d, r, flow.ModeUndecided)
	if err != nil {
		// The client may still speak HTTP and deserve an answer with a reason.
		p, cerr := accept.Client(c, lastWords)
		if cerr != nil || !isHTTP(p) {
			return mesh.Detect, nil, err
		}
		return p, nil, nil
	}
	return o.watch(c, d, e)
}

func (o *outbound) watch(c *flow.Conn, d *destination, e *early) (mesh.Protocol, *early, error) {
	c.Seat.Hold()
	c.Seat.Uses(e.ep.Peer.Place())
	defer c.Seat.Used(e.ep.Peer.Place())
	up := flow.NewConn(send.Conn(e.up), o.buffers)
	w := accept.NewWatch(c, up)
	p, by, err := w.Decide()
	o.detected(by)
	if err != nil || isHTTP(p) {
		if left := w.Forget(); left != nil {
			e.leave(left)
		}
		return p, nil, err
	}
	if by == accept.ByServer {
		d.early.Store(int64(o.clock() + serverFirstMemory))
	}
	e.up = send.Direct(w.Opaque())
	return p, e, nil
}

// leave gives up a way on which nothing was said: requests may use it.
func (e *early) leave(c *flow.Conn) {
	if !e.ep.Peer.Adopt(c) {
		c.Abort()
		_ = c.Close()
	}
}

// speaksFirst says whether the destination's server is known to speak first.
func (o *outbound) speaksFirst(d *destination) bool { return o.clock() < time.Duration(d.early.Load()) }

// isHTTP says whether a connection speaks a version of HTTP.
func isHTTP(p mesh.Protocol) bool { return p == mesh.HTTP1 || p == mesh.HTTP2 }

// hintsHTTP says whether a hint names HTTP of any version.
func hintsHTTP(p mesh.Protocol) bool { return isHTTP(p) || p == mesh.GRPC }

// detected counts a connection by what told its protocol.
func (c *core) detected(by accept.DecidedBy) {
	if by != "" {
		c.metrics.Counter("leno_detections_total", "Connections by what told their protocol.",
			telemetry.Label{Name: "decided_by", Value: string(by)}).Add(1)
	}
}

// connect opens an opaque connection to one of the destination's endpoints, in
// the mode that is said of it on a link.
func (o *outbound) connect(ctx context.Context, d *destination, r *resolved, mode flow.Mode) (*early, error) {
	if r.Default < 0 {
		return nil, flow.NotHanded(flow.NoBackend, nil)
	}
	if !r.sets[r.Default].Started() {
		if e := d.waiting.wait(ctx, o.clock, func() outlook {
			if latest := d.current.Load(); latest != nil && latest.Default >= 0 {
				r = latest
			}
			return outlookOf(r.sets[r.Default])
		}); e != nil {
			return nil, e
		}
	}
	return o.connectTo(ctx, r.sets[r.Default], r.target.String(), mode)
}

// connectTo is connect for one set of endpoints. For HTTP nothing is opened on a
// link: that it stands is enough, and up comes back nil.
func (o *outbound) connectTo(ctx context.Context, set *balance.Set[*instance], target string, mode flow.Mode) (*early, error) {
	var tried []*balance.Endpoint[*instance]
	var room room
	last := flow.NotHanded(flow.NoEndpoints, nil)
	for {
		ep := set.Pick(o.clock(), random(), tried)
		if ep == nil || len(tried) >= o.tries.Endpoints {
			if mode != flow.ModeOpaque || !o.makeRoom(ctx, &room) {
				break
			}
			tried = tried[:0]
			continue
		}
		start := time.Now()
		cctx, cancel := context.WithTimeout(ctx, connectWait)
		up, err := ep.Peer.open(cctx, mode, target)
		cancel()
		switch {
		case err == nil && up == nil: // nothing was measured
			ep.Neutral()
			return &early{ep, nil}, nil
		case err == nil:
			ep.Success(o.clock(), time.Since(start))
			return &early{ep, up}, nil
		case ctx.Err() != nil: // nobody waits for it any more
			ep.Neutral()
			return nil, flow.AsError(err, flow.ConnectFailed)
		}
		last = flow.AsError(err, flow.ConnectFailed)
		noteEndpoint(o.core, ep, last, 0)
		if !last.NotHanded {
			break
		}
		room.note(last, ep)
		tried = append(tried, ep)
	}
	return nil, last
}

// opaque pipes a connection whose bytes are not looked at.
func (o *outbound) opaque(ctx context.Context, c *flow.Conn, d *destination, r *resolved, e *early) {
	if e == nil {
		var err error
		if e, err = o.connect(ctx, d, r, flow.ModeOpaque); err != nil {
			o.failed(c, err)
			return
		}
	}
	o.pipe(c, e)
}

func (o *outbound) pipe(c *flow.Conn, e *early) {
	t := e.ep.Peer.counters.TCP()
	openTCP(t, c)
	c.Seat.Opaque(e.up)
	var n flow.Counts
	err := flow.Pipe(flow.ConnDuplex{Conn: c}, e.up, o.buffers, &n)
	closeTCP(t, &n, err)
}

// openTCP counts a connection that is to be piped, with the name that its
// client asks for where it carries TLS of the application's own.
func openTCP(t *telemetry.TCP, client *flow.Conn) {
	if name, ok := accept.ServerName(client); ok {
		t.OpenTLS(name)
		return
	}
	t.Open()
}

func closeTCP(t *telemetry.TCP, n *flow.Counts, err error) {
	t.Read(int(n.Up.Load()))    // bytes of one connection
	t.Write(int(n.Down.Load())) // bytes of one connection
	reason := ""
	if err != nil {
		reason = flow.PeerReset.String()
	}
	t.Close(reason)
}

// refuse ends a connection to a destination that cannot be used. Clients that
// speak HTTP are told the reason in an answer to each request.
func (o *outbound) refuse(ctx context.Context, c *flow.Conn, d *destination, err error) {
	switch p, cerr := accept.Client(c, lastWords); {
	case cerr == nil && p == mesh.HTTP1:
		o.requests(ctx, c, d)
	case cerr == nil && p == mesh.HTTP2:
		o.multiplexed(ctx, c, d)
	default:
		o.failed(c, err)
	}
}

// undetected ends a connection whose protocol was not found out: no server
// could be reached, or the client went away, which is no failure.
func (o *outbound) undetected(c *flow.Conn, err error) {
	if o.tooSlow(telemetry.Outbound, c, err) {
		return
	}
	var e *flow.Error
	if errors.As(err, &e) {
		o.failed(c, e)
		return
	}
	c.Abort()
}

// failed ends a connection for which there is nobody to give an answer to.
func (o *outbound) failed(c *flow.Conn, err error) {
	e := flow.AsError(err, flow.ConnectFailed)
	o.metrics.Failed(telemetry.Outbound, e.Reason.String())
	o.log.Info("connection refused", "direction", "outbound", "reason", e.Reason.String(), "error", e.Err)
	c.Abort()
}

// tunnel serves a request that may turn its connection into an opaque one:
// Upgrade, and CONNECT to a destination that is a proxy itself. The head
// travels on an opaque stream; the other side finds out what it is. CONNECT to
// this proxy begins detection anew inside.
func (x *outboundHTTP) tunnel(ctx context.Context) {
	x.caller.Spoil() // whatever comes back, this is the connection's last request
	if x.request.Form == flow.FormAuthority && x.fixed == nil {
		x.connectMethod(ctx)
		return
	}
	start := time.Now()
	r, err := x.route(ctx)
	if err != nil {
		x.end(x.fail(flow.AsError(err, flow.UnknownDestination), nil))
		return
	}
	timeout, set, failure := x.match(ctx, r)
	if failure != nil {
		x.end(x.fail(failure, nil))
		return
	}
	e, err := x.connectTo(ctx, set, r.target.String(), flow.ModeOpaque)
	if err != nil {
		x.end(x.fail(flow.AsError(err, flow.ConnectFailed), nil))
		return
	}
	t := send.NewTunnel(e.up, send.HTTPConfig{Limits: x.limits, Buffers: x.buffers})
	t.Meshed = e.ep.Peer.Meshed() && r.Protocol != mesh.Opaque
	x.seat.Uses(e.ep.Peer.Place())
	out := x.finish(e.ep, x.relay.Run(x.caller, t, &x.request, timeout), start)
	x.seat.Used(e.ep.Peer.Place())
	if !out.Switched {
		x.end(out)
		return
	}
	e.up = t.Duplex()
	x.pipe(x.conn, e)
}
