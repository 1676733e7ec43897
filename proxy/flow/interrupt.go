package flow

import (
	"context"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/mux"
)

// stop is an interruption.
type stop struct {
	why  Reason
	code http2.ErrCode
}

// begin has the exchange be what is interrupted. It says for what it was
// already.
func (x *Relay) begin(ex Exchange, timeout time.Duration) Reason {
	x.mu.Lock()
	x.current, x.why, x.due = ex, ReasonNone, time.Time{}
	if timeout > 0 {
		x.due = time.Now().Add(timeout)
	}
	if x.early.why != ReasonNone {
		x.interrupt(x.early.why, x.early.code)
	}
	if x.ended.why != ReasonNone {
		x.interrupt(x.ended.why, x.ended.code)
	}
	why := x.why
	x.mu.Unlock()
	switch {
	case timeout <= 0:
	case x.timer == nil:
		x.timer = time.AfterFunc(timeout, x.expire)
	default:
		x.timer.Reset(timeout)
	}
	return why
}

// expire ends a request whose time is over. The timer may have fired for the
// request before this one and come late.
func (x *Relay) expire() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over() {
		x.interrupt(Timeout, 0)
	}
}

// over says whether the request's time is over. x.mu is held.
func (x *Relay) over() bool { return !x.due.IsZero() && !time.Now().Before(x.due) }

// Interrupt gives the request under way up, if there is one. It may be called
// from any goroutine. It cancels under the lock, so that it can never hit an
// exchange that was given back and belongs to another request by now. The code
// is as in Exchange.Cancel.
func (x *Relay) Interrupt(why Reason, code http2.ErrCode) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.awaited {
		if x.early.why == ReasonNone && x.gone != nil {
			close(x.gone)
		}
		x.early = stop{why, code}
	}
	x.interrupt(why, code)
}

// Gone interrupts the request under way because its caller ended its stream, or
// lost it.
func (x *Relay) Gone(e *mux.StreamError) {
	code := e.Code
	if e.Conn {
		code = 0
	}
	x.Interrupt(ClientGone, code)
}

// End interrupts the request under way and every later one, because the proxy ends.
func (x *Relay) End() { x.EndFor(Draining, 0) }

// EndFor is Interrupt for the request under way and every later one: nobody says it
// again where it comes before the exchange has been opened, or between two tries.
func (x *Relay) EndFor(why Reason, code http2.ErrCode) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.ended.why == ReasonNone {
		x.ended = stop{why, code}
	}
	x.interrupt(why, code)
}

// Await has an interruption count from now on that comes before Run does: the
// caller may be gone while the exchange is still being opened, and nobody says
// so again.
func (x *Relay) Await() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.awaited, x.early, x.gone = true, stop{}, nil
}

// Opening is the context in which the exchange for r is opened. After Await that of
// HTTP/2, where opening is nothing but waiting, ends with the request. It is of use until
// Run.
func (x *Relay) Opening(ctx context.Context, r *Request) context.Context {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.awaited || r.Version != HTTP20 {
		return ctx
	}
	x.opening = opening{ctx, x}
	return &x.opening
}

// opening is a context which costs nothing as long as nobody waits for its end.
type opening struct {
	context.Context //nolint:containedctx // it is one itself
	relay           *Relay
}

// Done is part of context.Context. With the proxy's own context, which is below, the
// caller's stream ends too.
func (o *opening) Done() <-chan struct{} {
	x := o.relay
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.gone == nil {
		x.gone = make(chan struct{})
		if x.early.why != ReasonNone {
			close(x.gone)
		}
	}
	return x.gone
}

// Err is part of context.Context: an *Error where the request was interrupted.
func (o *opening) Err() error {
	x := o.relay
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.early.why != ReasonNone {
		return Fail(x.early.why, context.Canceled)
	}
	return o.Context.Err()
}

// interrupt is Interrupt with mu held.
func (x *Relay) interrupt(why Reason, code http2.ErrCode) {
	if x.current != nil {
		x.why = why
		x.current.Cancel(why, code)
	}
}

// received says that the exchange has given its whole answer: there is nothing
// left to interrupt. A caller that goes away as soon as it has the last byte,
// which is about to be written, must not look like one that gave up.
func (x *Relay) received() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.current, x.awaited = nil, false
}

// resume lets the request be interrupted again: its answer is whole, and the
// rest of its body is not.
func (x *Relay) resume(ex Exchange) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.current = ex
	switch {
	case x.ended.why != ReasonNone:
		x.interrupt(x.ended.why, x.ended.code)
	case x.over():
		x.interrupt(Timeout, 0)
	}
}

// finish ends the time for interruptions and says whether there was one.
func (x *Relay) finish(timeout time.Duration) Reason {
	if timeout > 0 {
		x.timer.Stop()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.current = nil
	return x.why
}
