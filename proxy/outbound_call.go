package proxy

import (
	"context"
	"errors"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/balance"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/telemetry"
)

// outboundCall is the state of one request of a client. It is used again for
// the next one, so that a request costs no allocation.
type outboundCall struct {
	*outbound
	caller  flow.Caller
	seat    *flow.Seat
	request flow.Request
	relay   flow.Relay
	failure flow.Failure
	tried   []*balance.Endpoint[*instance]

	fixed     *destination // where every request goes, or nil
	authority string       // of the request before, when not fixed
	last      *destination // where that went
	at        *resolved    // where this one goes, or nil
}

func (x *outboundCall) begin(o *outbound, c flow.Caller) {
	x.outbound, x.caller = o, c
	x.relay.OnFailure = func(e *flow.Error) {
		x.caller.Spoil()
		_ = x.failure.Answer(x.caller, e, &x.request)
	}
	x.relay.Keep, x.relay.Buffers, x.relay.Untaken = true, o.buffers, o.times.Untaken
}

func (x *outboundCall) release() {
	if x.last != nil {
		x.destinations.release(x.last)
	}
	x.last, x.at = nil, nil
}

// route finds where the request goes.
func (x *outboundCall) route(ctx context.Context) (r *resolved, err error) {
	x.at = nil
	if x.fixed == nil {
		if err := x.origin(); err != nil {
			return nil, err
		}
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

func (x *outboundCall) destination() *destination {
	if x.fixed != nil {
		return x.fixed
	}
	return x.last
}

var errScheme = errors.New("https in the absolute form: TLS is the client's own, with CONNECT")

// origin gives the request the form that servers expect: this is the proxy
// that the absolute form was meant for (RFC 9112, section 3.2.1), and many
// servers take it for a path. OPTIONS without a path is about the server as a
// whole (section 3.2.4). What was to be secured is not sent without.
func (x *outboundCall) origin() error {
	r := &x.request
	if r.Form != flow.FormAbsolute {
		return nil
	}
	scheme, rest, _ := strings.Cut(r.Target, "://")
	if flow.EqualFold(scheme, "https") {
		return flow.Fail(flow.BadRequest, errScheme)
	}
	r.Form, r.Target = flow.FormOrigin, r.Path
	if r.Method == "OPTIONS" && !strings.Contains(rest, "/") {
		r.Form, r.Target, r.Path = flow.FormAsterisk, "*", "*"
	}
	r.HostAt = max(r.HostAt, 0) // HTTP/1.0 may have no Host
	return nil
}

func (x *outboundCall) lookUp() error {
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
func (x *outboundCall) match(ctx context.Context, r *resolved) (time.Duration, *balance.Set[*instance], *flow.Error) {
	timeout, set, e := x.matchNow(r)
	if e != nil || set.Started() {
		return timeout, set, e
	}
	return x.matchLater(ctx)
}

// matchLater is match for a destination of which no endpoint can be called at
// the moment. One that is starting still is the last resort.
func (x *outboundCall) matchLater(ctx context.Context) (timeout time.Duration, set *balance.Set[*instance], e *flow.Error) {
	d := x.destination()
	vain := d.waiting.wait(ctx, x.clock, func() outlook {
		r := d.current.Load()
		if r == nil {
			return empty
		}
		x.at = r
		if timeout, set, e = x.matchNow(r); e != nil {
			return usable
		}
		return outlookOf(set)
	})
	if vain != nil {
		return 0, nil, vain
	}
	return timeout, set, e
}

func (x *outboundCall) matchNow(r *resolved) (time.Duration, *balance.Set[*instance], *flow.Error) {
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
func (x *outboundCall) pick(set *balance.Set[*instance], last *flow.Error) *balance.Endpoint[*instance] {
	ep := set.Pick(x.clock(), random(), x.tried)
	if ep == nil && last != nil && oneMoreGo(last) {
		ep = set.Pick(x.clock(), random(), nil)
	}
	return ep
}

// mostTries is how often a request is offered that failed so.
func (o *outbound) mostTries(last *flow.Error) int {
	if last != nil && errors.Is(last, mux.ErrDraining) {
		return o.tries.SentAway
	}
	return o.tries.Endpoints
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
func (x *outboundCall) note(ep *balance.Endpoint[*instance], out flow.Outcome, start time.Time) {
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
func (x *outboundCall) finish(ep *balance.Endpoint[*instance], out flow.Outcome, start time.Time) flow.Outcome {
	if out.Err != nil && !out.Answered {
		return x.fail(out.Err, ep)
	}
	h := ep.Peer.counters.HTTP()
	h.Request()
	count(h, &x.relay, &x.request, out, start)
	return out
}

// fail answers for Leno. The endpoint is the one that was tried last, or nil.
func (x *outboundCall) fail(e *flow.Error, ep *balance.Endpoint[*instance]) flow.Outcome {
	x.relay.Forget()
	code := e.Reason.String()
	switch {
	case ep != nil:
		countFailed(ep.Peer.counters.HTTP(), e.Reason, &x.request)
	case x.at != nil:
		countFailed(x.at.none.HTTP(), e.Reason, &x.request)
	default:
		x.metrics.Failed(telemetry.Outbound, code)
	}
	x.log.Debug("request failed", "direction", "outbound", "reason", code, "authority", x.request.Authority, "error", e)
	if _, whole := x.caller.Buffered(); !whole {
		x.caller.Spoil()
	}
	if err := x.failure.Answer(x.caller, e, &x.request); err != nil {
		return flow.Outcome{Err: flow.Fail(flow.ClientGone, err), Answered: true}
	}
	return flow.Outcome{Answered: true, Clean: true}
}

func (x *outboundCall) lastTried() *balance.Endpoint[*instance] {
	if len(x.tried) == 0 {
		return nil
	}
	return x.tried[len(x.tried)-1]
}
