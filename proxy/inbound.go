package proxy

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/identify"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/telemetry"
)

// inbound takes what comes for this workload: links from other proxies, and
// plain connections that were redirected here.
type inbound struct {
	*core
	identify func(ctx context.Context, c net.Conn) (net.Conn, identify.Peer, error)
	link     mux.Config
	links    linkSet
	// handshakes are those under way.
	handshakes flow.Seats
	workers    workers
	// strange is what clients without a certificate have.
	strange shares[netip.Addr]
	// strangers are ports that no snapshot names.
	strangers strangers
}

// connection is the loop of one connection. One that was redirected is for
// the application at its original destination; one that came to the listener
// itself is a link.
func (i *inbound) connection(ctx context.Context, c *flow.Conn, redirectedTo netip.AddrPort) {
	if redirectedTo.IsValid() {
		i.plain(ctx, c, redirectedTo)
		return
	}
	i.links.arrive()
	secured, peer, err := i.handshake(ctx, c)
	if err != nil {
		i.links.gone()
		i.unidentified(c, err)
		return
	}
	share, ok := i.links.shares.join(peer.Workload)
	if !ok {
		i.links.gone()
		i.unidentified(c, flow.NotHanded(flow.Overloaded, errTooManyLinks))
		return
	}
	defer i.links.shares.part(share)
	from := &caller{Peer: peer, inbound: i, share: &share.Share}
	cfg := i.link
	cfg.Share = &share.Share
	l := mux.NewServer(secured, cfg, func(st *mux.Stream) { i.stream(ctx, from, st) })
	i.links.add(l, peer)
	defer i.links.remove(l)
	c.Seat.Links(l)
	if err := l.Run(ctx); err != nil {
		i.log.Debug("link ended", "peer", peer.Identity, "error", err)
	}
}

// stream is one request, or one opaque connection, that came on a link.
func (i *inbound) stream(ctx context.Context, from *caller, st *mux.Stream) {
	w := i.workers.get(i)
	defer i.workers.put(w)
	start := time.Now()
	value, err := w.caller.ReadRequest(st, &w.request)
	if err != nil {
		malformed(i.core, telemetry.Inbound, &w.caller, &w.failure, err)
		return
	}
	port, where, failure := i.route(from, value)
	switch {
	case failure != nil:
		w.refuse(from, port, where, failure)
	case where.Mode == flow.ModeHTTP && w.request.Method == "CONNECT" && w.request.Version != flow.HTTP20:
		w.refuse(from, port, where, flow.NotHanded(flow.BadRequest, errConnect))
	case where.Mode == flow.ModeHTTP:
		w.serve(ctx, from, port, start)
	default:
		w.opaque(ctx, from, port, where)
	}
}

var errConnect = errors.New("CONNECT of HTTP/1 travels on an opaque stream")

// route finds the port and decides whether the caller may use it.
func (i *inbound) route(from *caller, value string) (*ownPort, flow.Where, *flow.Error) {
	own := i.own.current.Load()
	where, err := from.where(value)
	switch {
	case err != nil:
		return nil, where, flow.NotHanded(flow.BadRequest, err)
	case own == nil:
		return nil, where, flow.NotHanded(flow.DiscoveryTimeout, nil)
	case where.Workload != own.Workload:
		return nil, where, flow.NotHanded(flow.WrongWorkload, nil)
	}
	port := own.port(where.Port)
	if port == nil && own.Others != nil {
		port = i.unnamed(netip.AddrPortFrom(own.Others.Target.Addr(), where.Port))
	}
	if port == nil || i.ports[port.Target.Port()] && i.self(port.Target.Addr()) {
		return nil, where, flow.NotHanded(flow.PortNotServed, nil)
	}
	if !i.judge(port, from.Identity, where.Mode != flow.ModeHTTP).Allowed {
		return port, where, flow.Fail(flow.Denied, nil)
	}
	return port, where, nil
}

// serve hands one request to the application. One that the application surely
// did not take, as on a connection that it closed while that was idle, is sent
// again, unless something of it is lost.
func (w *worker) serve(ctx context.Context, from *caller, port *ownPort, start time.Time) {
	w.request.ClientID = string(from.Identity)
	w.relay.Await()
	w.caller.OnAbort(w.interrupt)
	h := from.counters(port).HTTP()
	h.Request()
	var out flow.Outcome
	for try := 0; ; try++ {
		ex, err := port.app.Get(w.relay.Opening(ctx, &w.request), &w.request, try > 0)
		if err != nil {
			out = flow.Outcome{Err: flow.AsError(err, flow.AppRefused)}
			break
		}
		out = w.relay.Run(&w.caller, ex, &w.request, 0)
		if !w.inbound.onceMore(out, try) {
			break
		}
	}
	w.finish(h, out, start)
}

// onceMore says whether a request that the application surely did not take is
// sent to it again.
func (c *core) onceMore(out flow.Outcome, try int) bool {
	if out.Err == nil || out.Answered || !out.Err.NotHanded || !out.Again {
		return false
	}
	return try == 0 || try+1 < c.tries.SentAway && errors.Is(out.Err, mux.ErrDraining)
}

// plain serves a connection of a client that is not in the mesh. The same
// detection and the same policies hold, with no identity.
func (i *inbound) plain(ctx context.Context, c *flow.Conn, to netip.AddrPort) {
	port := i.own.current.Load().port(to.Port())
	if port == nil {
		port = i.unnamed(to)
	}
	if port == nil {
		i.refused(c, flow.NotHanded(flow.PortNotServed, nil))
		return
	}
	from := &caller{inbound: i}
	p, early, err := i.detect(ctx, c, from, port)
	switch {
	case i.tooSlow(telemetry.Inbound, c, err):
	case err != nil:
		i.refused(c, err)
	case p == mesh.HTTP1:
		i.requests(ctx, c, from, port)
	case p == mesh.HTTP2:
		share, _ := i.strange.join(addrOf(c.Conn))
		defer i.strange.part(share)
		from.share = &share.Share
		i.multiplexed(ctx, c, i.inClients, from, port)
	default:
		i.opaque(ctx, c, from, port, early)
	}
}

// requests is the loop of one HTTP/1 connection to the application: a plain
// one, or one that came as an opaque stream.
func (i *inbound) requests(ctx context.Context, c *flow.Conn, from *caller, port *ownPort) {
	x := newInboundHTTP(i, c)
	defer context.AfterFunc(ctx, x.relay.End)()
	c.Seat.OnEnd(func() { x.relay.EndFor(flow.ClientGone, http2.ErrCodeCancel) })
	c.Seat.OnSlow(func() { x.relay.Interrupt(flow.SlowRequest, http2.ErrCodeCancel) })
	if st := streamOf(flow.ConnDuplex{Conn: c}); st != nil {
		st.OnAbort(func(e *mux.StreamError) {
			x.relay.Gone(e)
			x.relay.End() // the next request may be read already
		})
	}
	for {
		if err := x.caller.ReadRequest(&x.request); err != nil {
			x.unreadable(err)
			return
		}
		x.request.ClientID = string(from.Identity)
		if x.request.Upgrade != "" || x.request.Form == flow.FormAuthority {
			x.tunnel(ctx, from, port)
			return
		}
		if out := x.serve(ctx, from, port); !out.Clean || !x.caller.Again() {
			x.end(out)
			return
		}
		x.relay.Rest(&x.request)
		x.caller.Rest()
	}
}

var _ flow.Caller = (*accept.Stream)(nil)
