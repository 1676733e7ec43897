package proxy

import (
	"context"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/mux"
)

// connectMethod answers CONNECT as a forward proxy does, and treats what
// follows as a connection to the named target.
func (x *outboundHTTP) connectMethod(ctx context.Context) {
	d, r, e, err := x.aim(ctx, x.request.Authority)
	if err != nil {
		x.end(x.fail(err, nil))
		return
	}
	defer x.destinations.release(d)
	ok := flow.Response{Status: 200, Reason: "Connection established", Version: flow.HTTP11}
	if x.http1.RespondTunnel(&ok) != nil {
		e.drop()
		return
	}
	x.carry(ctx, x.conn, d, r, e)
}

// connectMethod is that of HTTP/1, on one stream.
func (x *outboundStream) connectMethod(ctx context.Context) {
	waits, cancel := context.WithCancel(ctx)
	defer cancel()
	x.stream.OnAbort(func(*mux.StreamError) { cancel() })
	d, r, e, err := x.aim(waits, x.request.Authority)
	if err != nil {
		if waits.Err() != nil && ctx.Err() == nil {
			err = flow.NotHanded(flow.ClientGone, err)
		}
		x.fail(err, nil)
		return
	}
	defer x.destinations.release(d)
	ok := flow.Response{Status: 200, Version: flow.HTTP20}
	if x.caller.Respond(&ok, false) != nil {
		e.drop()
		return
	}
	c := x.client(x.stream.Conn())
	defer c.Free()
	defer c.Close()
	x.carry(ctx, c, d, r, e)
}

// aim finds out where CONNECT leads, and opens the way there as far as it can
// before anybody knows what is to be carried (docs/decisions/0023). The
// destination is to be released where there is no error.
func (o *outbound) aim(ctx context.Context, authority string) (*destination, *resolved, *early, *flow.Error) {
	t, err := targetOf(authority)
	if err != nil {
		return nil, nil, nil, flow.AsError(err, flow.BadRequest)
	}
	d, err := o.destinations.acquire(t)
	if err != nil {
		return nil, nil, nil, flow.AsError(err, flow.Overloaded)
	}
	r, err := o.resolve(ctx, d)
	if err != nil {
		o.destinations.release(d)
		return nil, nil, nil, flow.AsError(err, flow.UnknownDestination)
	}
	e, err := o.ahead(ctx, d, r)
	if err != nil {
		o.destinations.release(d)
		return nil, nil, nil, flow.AsError(err, flow.ConnectFailed)
	}
	return d, r, e, nil
}

// ahead opens the way for a tunnel. Where the bytes will be opaque it is opened
// whole. Else requests may be what comes, for which a link is enough: no
// application sees a connection before its client has said something. Nil is a
// way that is to be opened by what comes.
func (o *outbound) ahead(ctx context.Context, d *destination, r *resolved) (*early, error) {
	switch {
	case r.Protocol == mesh.Opaque:
		return o.connect(ctx, d, r, flow.ModeOpaque)
	case !hintsHTTP(r.Protocol) && o.speaksFirst(d):
		return o.connect(ctx, d, r, flow.ModeUndecided)
	case len(r.Route.Rules) > 0: // which endpoints are meant, each request will say
		return nil, o.awaitAny(ctx, d, r)
	}
	e, err := o.connect(ctx, d, r, flow.ModeHTTP)
	switch {
	case err != nil:
		return nil, err
	case e.up == nil:
		return nil, nil
	case hintsHTTP(r.Protocol):
		e.drop()
		return nil, nil
	}
	return e, nil
}

// awaitAny waits until one of the backends has an endpoint, as a request would
// wait for one.
func (o *outbound) awaitAny(ctx context.Context, d *destination, r *resolved) error {
	vain := d.waiting.wait(ctx, o.clock, func() outlook {
		if latest := d.current.Load(); latest != nil {
			r = latest
		}
		best := empty
		for _, set := range r.sets {
			best = max(best, outlookOf(set))
		}
		return best
	})
	if vain != nil {
		return vain
	}
	return nil
}

// drop gives up a way that is not needed, if there is one.
func (e *early) drop() {
	if e == nil {
		return
	}
	if up, plain := e.up.(flow.ConnDuplex); plain {
		e.leave(up.Conn)
		return
	}
	e.up.Abort(flow.ClientGone)
	_ = e.up.Close()
}
