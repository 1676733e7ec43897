package proxy

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/balance"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/telemetry"
)

// maxTries bounds how many endpoints one request is offered to.
const maxTries = 4

// outboundHTTP is the state of one client's HTTP connection. It is used again
// for every request, so that a request costs no allocation.
type outboundHTTP struct {
	*outbound
	conn    *flow.Conn
	caller  *accept.HTTP1
	request flow.Request
	relay   flow.Relay
	failure flow.Failure
	tried   []*balance.Endpoint[*instance]

	fixed     *destination // where every request goes, or nil
	authority string       // of the request before, when not fixed
	last      *destination // where that went
	at        *resolved    // where this one goes, or nil
}

func newOutboundHTTP(o *outbound, c *flow.Conn, fixed *destination) *outboundHTTP {
	x := &outboundHTTP{outbound: o, conn: c, fixed: fixed}
	x.caller = accept.NewHTTP1(c, o.limits, o.draining.Load)
	x.relay.OnFailure = func(e *flow.Error) {
		x.caller.Spoil()
		_ = x.failure.Answer(x.caller, e, x.request.Head, x.request.GRPC())
	}
	x.relay.Keep = true
	return x
}

func (x *outboundHTTP) release() {
	if x.last != nil {
		x.destinations.release(x.last)
	}
}

// route finds where the request goes.
func (x *outboundHTTP) route(ctx context.Context) (r *resolved, err error) {
	x.at = nil
	if x.fixed == nil {
		x.origin()
		if x.last == nil || x.request.Authority != x.authority {
			if err := x.lookUp(); err != nil {
				return nil, err
			}
		}
	}
	if r, err = x.resolve(ctx, x.destination()); err == nil {
		x.at = r
	}
	return r, err
}

func (x *outboundHTTP) destination() *destination {
	if x.fixed != nil {
		return x.fixed
	}
	return x.last
}

// origin gives the request the form that servers expect: this is the proxy
// that the absolute form was meant for (RFC 9112, section 3.2.1), and many
// servers take it for a path.
func (x *outboundHTTP) origin() {
	r := &x.request
	if r.Form != flow.FormAbsolute {
		return
	}
	r.Form, r.Target = flow.FormOrigin, r.Path
	r.HostAt = max(r.HostAt, 0) // HTTP/1.0 may have no Host
}

func (x *outboundHTTP) lookUp() error {
	t, err := targetOf(x.request.Authority)
	if err != nil {
		return err
	}
	d, err := x.destinations.acquire(t)
	if err != nil {
		return err
	}
	x.release()
	x.last, x.authority = d, strings.Clone(x.request.Authority)
	return nil
}

// targetOf reads an authority: a name or an address, with port 80 unless it
// says another.
func targetOf(authority string) (mesh.Target, error) {
	host, port := authority, uint16(80)
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		n, err := strconv.ParseUint(authority[i+1:], 10, 16)
		if err != nil || n == 0 {
			return mesh.Target{}, flow.Fail(flow.BadRequest, errors.New("bad port in authority"))
		}
		host, port = authority[:i], uint16(n)
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	if host == "" || len(host) > 253 {
		return mesh.Target{}, flow.Fail(flow.BadRequest, errors.New("the request names no host"))
	}
	if a, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return mesh.Target{Addr: a.Unmap(), Port: port}, nil
	}
	return mesh.Target{Host: strings.Clone(host), Port: port}, nil
}

// match finds the rule and picks one of its backends. One that has no endpoint
// now may get one soon.
func (x *outboundHTTP) match(ctx context.Context, r *resolved) (time.Duration, *balance.Set[*instance], *flow.Error) {
	timeout, set, e := x.matchNow(r)
	if e != nil || len(set.All()) > 0 {
		return timeout, set, e
	}
	return x.matchLater(ctx)
}

// matchLater is match for a destination that has no endpoint at the moment.
func (x *outboundHTTP) matchLater(ctx context.Context) (timeout time.Duration, set *balance.Set[*instance], e *flow.Error) {
	d := x.destination()
	vain := d.waiting.wait(ctx, x.clock, func() bool {
		r := d.current.Load()
		if r == nil {
			return false
		}
		x.at = r
		timeout, set, e = x.matchNow(r)
		return e != nil || len(set.All()) > 0
	})
	if vain != nil {
		return 0, nil, vain
	}
	return timeout, set, e
}

func (x *outboundHTTP) matchNow(r *resolved) (time.Duration, *balance.Set[*instance], *flow.Error) {
	rule, ok := r.table.Match(&x.request)
	if !ok {
		return 0, nil, flow.NotHanded(flow.NoRoute, nil)
	}
	i := rule.Pick(uint32(random())) // any 32 bits will do
	if i < 0 || rule.Backends[i].Set < 0 {
		return 0, nil, flow.NotHanded(flow.NoBackend, nil)
	}
	return rule.Timeout, r.sets[rule.Backends[i].Set], nil
}

// pick gives the endpoint for the next try: one that was not tried yet, or the
// same once more where only its connection was to blame.
func (x *outboundHTTP) pick(set *balance.Set[*instance], last *flow.Error) *balance.Endpoint[*instance] {
	ep := set.Pick(x.clock(), random(), x.tried)
	if ep == nil && last != nil && oneMoreGo(last) {
		ep = set.Pick(x.clock(), random(), nil)
	}
	return ep
}

// oneMoreGo says whether a request that was not handed over may go to the
// endpoint that it failed on, on a new connection.
func oneMoreGo(e *flow.Error) bool {
	switch e.Reason {
	case flow.PeerReset, flow.Draining:
		return true
	case flow.Overloaded:
		return !e.Remote // it was one link that was full
	}
	return false
}

// left is what the tries before left of a request's time; 0 means no limit.
func left(timeout time.Duration, start, now time.Time) time.Duration {
	if timeout == 0 {
		return 0
	}
	return max(timeout-now.Sub(start), 1)
}

// note tells the balancer how it went.
func (x *outboundHTTP) note(ep *balance.Endpoint[*instance], out flow.Outcome, start time.Time) {
	noteEndpoint(x.core, ep, out.Err, x.relay.HeadAt.Sub(start))
}

func noteEndpoint(c *core, ep *balance.Endpoint[*instance], e *flow.Error, latency time.Duration) {
	switch {
	case e == nil:
		ep.Success(c.clock(), latency)
	case againstEndpoint(e.Reason):
		if ep.Failure(c.clock()) {
			c.log.Info("endpoint put aside after repeated failures", "endpoint", ep.Addr, "instance", ep.Name, "reason", e.Reason.String())
		}
	default:
		ep.Neutral()
	}
}

// againstEndpoint says whether a failure speaks against its endpoint.
func againstEndpoint(r flow.Reason) bool {
	switch r {
	case flow.ConnectFailed, flow.ConnectTimeout, flow.PeerCertificate, flow.WrongIdentity, flow.WrongWorkload,
		flow.PeerReset, flow.AppRefused, flow.AppReset, flow.PortNotServed:
		return true
	}
	return false
}

// finish counts a request that one endpoint answered, or failed for good.
func (x *outboundHTTP) finish(ep *balance.Endpoint[*instance], out flow.Outcome, start time.Time) flow.Outcome {
	if out.Err != nil && !out.Answered {
		return x.fail(out.Err, ep)
	}
	h := ep.Peer.counters.HTTP()
	h.Request()
	resp := &x.relay.Response
	if out.Err != nil {
		h.Failed(out.Err.Reason.String())
	}
	if out.Told {
		h.Response(out.Err.Reason.Row().Status, -1, false, 0)
		return out
	}
	h.Response(resp.Status, -1, out.Err == nil && resp.Status < 500, x.relay.HeadAt.Sub(start))
	return out
}

// fail answers for Leno. The endpoint is the one that was tried last, or nil.
func (x *outboundHTTP) fail(e *flow.Error, ep *balance.Endpoint[*instance]) flow.Outcome {
	x.relay.Forget()
	code := e.Reason.String()
	switch {
	case ep != nil:
		countFailed(ep.Peer.counters.HTTP(), e.Reason)
	case x.at != nil:
		countFailed(x.at.none.HTTP(), e.Reason)
	default:
		x.metrics.Failed(telemetry.Outbound, code)
	}
	x.log.Debug("request failed", "direction", "outbound", "reason", code, "authority", x.request.Authority, "error", e)
	if _, whole := x.caller.Buffered(); !whole {
		x.caller.Spoil()
	}
	if err := x.failure.Answer(x.caller, e, x.request.Head, x.request.GRPC()); err != nil {
		return flow.Outcome{Err: flow.Fail(flow.ClientGone, err), Answered: true}
	}
	return flow.Outcome{Answered: true, Clean: true}
}

// countFailed counts a request that Leno answered itself.
func countFailed(h *telemetry.HTTP, r flow.Reason) {
	h.Request()
	h.Failed(r.String())
	h.Response(r.Row().Status, -1, false, 0)
}

func (x *outboundHTTP) lastTried() *balance.Endpoint[*instance] {
	if len(x.tried) == 0 {
		return nil
	}
	return x.tried[len(x.tried)-1]
}

// end closes the connection after its last answer, or cuts it where that
// could not be given whole.
func (x *outboundHTTP) end(out flow.Outcome) {
	if out.Err != nil && !out.Told {
		x.caller.Abort(out.Err.Reason)
		return
	}
	x.caller.Linger()
}

// unreadable ends a connection whose next request could not be read. An end
// between two requests is no failure.
func (x *outboundHTTP) unreadable(err error) {
	var e *flow.Error
	if !errors.As(err, &e) {
		if !errors.Is(err, io.EOF) {
			x.conn.Abort()
		}
		return
	}
	refuse(x.core, telemetry.Outbound, x.caller, &x.failure, e)
}

// refuse answers a request whose head could not be read, and ends its
// connection.
func refuse(c *core, d telemetry.Direction, h *accept.HTTP1, f *flow.Failure, e *flow.Error) {
	c.metrics.Failed(d, e.Reason.String())
	c.log.Info("request refused", "direction", d.String(), "reason", e.Reason.String(), "error", e.Err)
	if e.Reason == flow.ClientGone {
		return
	}
	h.SpoilHead()
	if f.Answer(h, e, false, false) == nil {
		h.Linger()
	}
}
