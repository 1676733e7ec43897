package proxy

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/identify"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/telemetry"
)

// caller is who is at the other end of one link, or nobody known for a plain
// connection.
type caller struct {
	identify.Peer
	inbound *inbound
	share   *mux.Share // of streams; nil for plain connections that are not of HTTP/2

	mu    sync.Mutex
	value string                 // guarded by mu; the leno-link value that was read last
	last  flow.Where             // guarded by mu; what it said
	edges map[*ownPort]*counters // guarded by mu
}

// where reads a leno-link value. Streams of one link mostly carry the same.
func (c *caller) where(value string) (flow.Where, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.value == value && value != "" {
		return c.last, nil
	}
	w, err := flow.ParseWhere(value)
	if err != nil {
		return w, err
	}
	c.value, c.last = value, w
	return w, nil
}

// counters gives the metrics of this caller on a port.
func (c *caller) counters(p *ownPort) *counters {
	c.mu.Lock()
	defer c.mu.Unlock()
	if k := c.edges[p]; k != nil {
		return k
	}
	e := telemetry.Edge{Direction: telemetry.Inbound, TLS: c.Identity != "", ClientID: c.Identity}
	if !e.TLS {
		e.NoTLSReason = "not_provided_by_remote"
	}
	if own := c.inbound.own.inbound(); own != nil {
		e.ServerID, e.DstNamespace = own.Identity, own.Namespace
	}
	if len(p.Services) > 0 {
		e.DstService = p.Services[0].Name
	}
	e.DstPort = portText(p.Number)
	k := &counters{metrics: c.inbound.metrics, edge: e}
	if c.edges == nil || len(c.edges) > 256 {
		c.edges = make(map[*ownPort]*counters)
	}
	c.edges[p] = k
	return k
}

// worker is the state of one request on a link. Workers are used again, so
// that a request costs no allocation.
type worker struct {
	inbound   *inbound
	caller    accept.Stream
	request   flow.Request
	relay     flow.Relay
	failure   flow.Failure
	interrupt func(*mux.StreamError)
}

type workers struct{ pool sync.Pool }

func (p *workers) get(i *inbound) *worker {
	if w, ok := p.pool.Get().(*worker); ok {
		return w
	}
	w := &worker{inbound: i}
	w.relay.OnFailure = func(e *flow.Error) { w.answer(e) }
	w.relay.Keep, w.relay.Buffers, w.relay.Untaken = true, i.buffers, i.times.Untaken
	w.interrupt = w.relay.Gone
	return w
}

// put takes a worker back. Its stream, which is released a moment later, must
// not reach it any more.
func (p *workers) put(w *worker) {
	w.caller.OnAbort(nil)
	p.pool.Put(w)
}

// answer gives the caller a failure that Leno made.
func (w *worker) answer(e *flow.Error) {
	_ = w.failure.Answer(&w.caller, e, &w.request)
}

// finish counts a request and answers it if the application did not.
func (w *worker) finish(h *telemetry.HTTP, out flow.Outcome, start time.Time) {
	if out.Err == nil || out.Answered {
		count(h, &w.relay, &w.request, out, start)
	} else {
		h.Failed(out.Err.Reason.String())
		respondedSelf(h, out.Err.Reason, &w.request)
	}
	if out.Err == nil {
		return
	}
	w.inbound.log.Debug("request failed", "direction", "inbound", "reason", out.Err.Reason.String(), "error", out.Err)
	switch {
	case out.Told:
	case out.Answered:
		w.failure.Cut(&w.caller, out.Err, &w.request, &w.relay.Response)
	default:
		w.relay.Forget()
		w.answer(out.Err)
	}
}

// refuse answers a stream that is not served.
func (w *worker) refuse(from *caller, port *ownPort, where flow.Where, e *flow.Error) {
	code := e.Reason.String()
	if port != nil && where.Mode == flow.ModeHTTP {
		countFailed(from.counters(port).HTTP(), e.Reason, &w.request)
	} else {
		w.inbound.metrics.Failed(telemetry.Inbound, code)
	}
	if where.Mode == flow.ModeHTTP {
		w.answer(e)
		return
	}
	_ = w.caller.Answer(e.Reason)
}

// multiplexed serves a connection of HTTP/2 to the application: a plain one, or
// one that came as an opaque stream, whose streams are its peer's.
func (i *inbound) multiplexed(ctx context.Context, c *flow.Conn, cfg mux.Config, from *caller, port *ownPort) {
	cfg.Share = from.share
	if port.app.TakesConnect() {
		cfg.Settings = []http2.Setting{takesConnect}
	}
	i.clients.serve(ctx, c, cfg, func(seat *flow.Seat, st *mux.Stream) {
		w := i.workers.get(i)
		defer i.workers.put(w)
		start := time.Now()
		if err := w.caller.ReadPlain(st, seat, &w.request); err != nil {
			malformed(i.core, telemetry.Inbound, &w.caller, &w.failure, err)
			return
		}
		i.busy.Add(1)
		defer i.busy.Add(-1)
		if !i.judge(port, from.Identity, false).Allowed {
			w.refuse(from, port, flow.Where{Mode: flow.ModeHTTP}, flow.Fail(flow.Denied, nil))
			return
		}
		w.relay.Response.Extended = false // of the answer before
		w.serve(ctx, from, port, start)
		if w.relay.Response.Extended {
			w.caller.Announce(takesConnect)
		}
	})
}

// opaque joins the stream with a connection to the application. The answer
// goes out before any byte of the server.
func (w *worker) opaque(ctx context.Context, from *caller, port *ownPort, where flow.Where) {
	cctx, cancel := context.WithTimeout(ctx, w.inbound.times.AppConnect)
	w.caller.OnAbort(func(*mux.StreamError) { cancel() })
	c, err := port.app.Dial(cctx)
	cancel()
	if err != nil {
		reason := flow.AppRefused
		if isTimeout(err) {
			reason = flow.AppTimeout
		}
		w.refuse(from, nil, where, flow.NotHanded(reason, err))
		return
	}
	w.caller.OnAbort(nil)
	if w.caller.Answer(flow.ReasonNone) != nil {
		_ = c.Close()
		return
	}
	w.inbound.carry(ctx, from, port, w.caller.Conn(), c)
}

// carry serves an opaque stream whose application's connection stands. What
// the peer calls opaque is looked at all the same: HTTP inside is served as
// HTTP, so that policies hold and nobody fakes what only Leno says.
func (i *inbound) carry(ctx context.Context, from *caller, port *ownPort, st *flow.StreamConn, app net.Conn) {
	c := i.client(st)
	defer c.Free()
	defer c.Close()
	up := flow.ConnDuplex{Conn: c}
	if port.Protocol == mesh.Opaque {
		st.Direct()
		i.join(from, port, up, up, flow.ConnDuplex{Conn: flow.NewConn(app, i.buffers)})
		return
	}
	p, down, err := i.watch(c, port, app)
	switch {
	case i.tooSlow(telemetry.Inbound, c, err):
	case err != nil: // the client went away, or spoke HTTP to its own proxy
		c.Abort()
	case p == mesh.HTTP1:
		i.requests(ctx, c, from, port)
	case p == mesh.HTTP2:
		st.Direct()
		i.multiplexed(ctx, c, i.flooded(i.http2, telemetry.Inbound), from, port)
	default:
		st.Direct()
		i.join(from, port, up, accept.Guard(up), down)
	}
}

// join pipes an opaque connection to the application and counts it. It stays
// for as long as policy allows it. Client is how up is read.
func (i *inbound) join(from *caller, port *ownPort, up flow.ConnDuplex, client, app flow.Duplex) {
	t := from.counters(port).TCP()
	stay := i.links.hold(from.Identity, port.Number, up)
	defer i.links.let(stay)
	if st := streamOf(up); st != nil {
		// Once the client has ended its direction nobody reads the stream, and
		// its death must still be one towards the application.
		st.OnAbort(func(*mux.StreamError) { app.Abort(flow.ClientGone) })
	}
	stay.enforce(i.own.current.Load()) // a snapshot may have come since the decision
	openTCP(t, up.Conn)
	up.Seat.Opaque(app)
	var n flow.Counts
	err := flow.Pipe(client, app, i.buffers, &n)
	closeTCP(t, &n, err)
	if errors.Is(err, accept.ErrLateHTTP) {
		i.metrics.Failed(telemetry.Inbound, flow.BadRequest.String())
		i.log.Info("connection ended", "direction", "inbound", "reason", flow.BadRequest.String(), "error", err)
	}
}

// streamOf gives the stream below an end, or nil.
func streamOf(d flow.ConnDuplex) *flow.StreamConn {
	st, _ := d.Conn.Conn.(*flow.StreamConn)
	return st
}

// unidentified ends a connection whose handshake failed.
func (i *inbound) unidentified(c *flow.Conn, err error) {
	e := flow.AsError(err, flow.PeerCertificate)
	i.metrics.Failed(telemetry.Inbound, e.Reason.String())
	i.log.Info("link refused", "peer", c.RemoteAddr().String(), "reason", e.Reason.String(), "error", e.Err)
	_ = c.Close()
}

var errTooManyLinks = errors.New("this workload has as many links here as it may")

// handshake finds out who opened a link. Handshakes are dear, so there is a
// bound to those under way: one that keeps us waiting makes room for a new one.
func (i *inbound) handshake(ctx context.Context, c *flow.Conn) (net.Conn, identify.Peer, error) {
	seat, evicted := i.handshakes.Take(c.Conn)
	if evicted {
		i.shed(telemetry.Inbound, "a handshake that took long was ended to make room")
	}
	if seat == nil {
		return nil, identify.Peer{}, flow.NotHanded(flow.Overloaded, errTooManyHandshakes)
	}
	defer seat.Leave()
	seat.Reads()
	c.Seat.Reads()
	defer c.Seat.Read(0)
	return i.identify(ctx, c.Conn)
}

var errTooManyHandshakes = errors.New("as many handshakes are under way as there may be")

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
