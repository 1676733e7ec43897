package flow

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Relay carries one request at a time between a caller and an exchange. It is
// kept for the life of a connection or a worker, so that a request costs no
// allocation.
type Relay struct {
	Response Response // the head of the answer that was relayed last
	// OnFailure answers a request that failed before it was answered and whose
	// body is gone in part, so that it cannot be tried again. It is called
	// while the caller still takes an answer.
	OnFailure func(*Error)
	// HeadAt is when its final head came: the end of the latency that is
	// measured.
	HeadAt time.Time
	timer  *time.Timer

	mu      sync.Mutex
	current Exchange // guarded by mu; what Interrupt would cancel
	why     Reason   // guarded by mu; for which it was interrupted
}

// Outcome says how a relayed request ended.
type Outcome struct {
	Err *Error // nil when the answer was relayed whole
	// Answered is true when the final head went to the caller, so that no
	// other answer can be given.
	Answered bool
	// Clean is true when both directions ended as they should, so that the
	// caller's connection can carry another request.
	Clean bool
}

// Run sends the request, relays the answer and the two bodies. The exchange
// is given back before it returns. A timeout of zero means none.
func (x *Relay) Run(c Caller, ex Exchange, r *Request, timeout time.Duration) Outcome {
	x.begin(ex, timeout)
	out := x.run(c, ex, r)
	if why := x.finish(timeout); why != ReasonNone {
		out.Clean = false
		if out.Err != nil {
			out.Err = Fail(why, out.Err)
		}
	}
	ex.Done(out.Clean && out.Err == nil)
	return out
}

func (x *Relay) run(c Caller, ex Exchange, r *Request) Outcome {
	body, whole := c.Buffered()
	head := r.Head // r is a view of a buffer that the pump may overwrite
	if err := ex.Send(r, body, whole); err != nil {
		return Outcome{Err: AsError(err, PeerReset)}
	}
	var up *pump
	if !whole {
		up = startPump(c, ex)
	}
	out := x.answer(c, ex, head)
	if up != nil {
		if out.Err != nil && !out.Answered {
			x.OnFailure(out.Err)
			out.Answered = true
		}
		out.Clean = up.join(c, ex, out.Err) && out.Clean
	}
	return out
}

// answer relays the heads and the body of the answer.
func (x *Relay) answer(c Caller, ex Exchange, head bool) Outcome {
	resp := &x.Response
	for {
		if err := ex.Receive(resp); err != nil {
			return Outcome{Err: AsError(err, PeerReset)}
		}
		if resp.Status >= 200 {
			break
		}
		if err := c.Respond(resp, false); err != nil {
			return Outcome{Err: Fail(ClientGone, err), Answered: true}
		}
	}
	x.HeadAt = time.Now()
	end := resp.Length == 0 || head
	if err := c.Respond(resp, end); err != nil {
		return Outcome{Err: Fail(ClientGone, err), Answered: true}
	}
	if end {
		return Outcome{Answered: true, Clean: true}
	}
	switch readErr, writeErr := copyBody(c, ex); {
	case readErr != nil:
		return Outcome{Err: AsError(readErr, PeerReset), Answered: true}
	case writeErr != nil:
		return Outcome{Err: Fail(ClientGone, writeErr), Answered: true}
	}
	return Outcome{Answered: true, Clean: true}
}

// copyBody moves a body to its end. It says which side failed: reading it or
// writing it.
func copyBody(to Sink, from Body) (readErr, writeErr error) {
	for {
		if from.Waits() {
			if err := to.Flush(); err != nil {
				return nil, err
			}
		}
		p, err := from.Next()
		switch {
		case err == nil:
			if err := to.Write(p, false); err != nil {
				return nil, err
			}
		case errors.Is(err, io.EOF):
			return nil, writeLast(to, p, from.Trailers())
		default:
			return err, nil
		}
	}
}

func writeLast(to Sink, p []byte, trailers []Field) error {
	if len(trailers) == 0 {
		return to.Write(p, true)
	}
	if len(p) > 0 {
		if err := to.Write(p, false); err != nil {
			return err
		}
	}
	return to.Finish(trailers)
}

func (x *Relay) begin(ex Exchange, timeout time.Duration) {
	x.mu.Lock()
	x.current, x.why = ex, ReasonNone
	x.mu.Unlock()
	switch {
	case timeout <= 0:
	case x.timer == nil:
		x.timer = time.AfterFunc(timeout, func() { x.Interrupt(Timeout) })
	default:
		x.timer.Reset(timeout)
	}
}

// Interrupt gives the request under way up, if there is one. It may be called
// from any goroutine. It cancels under the lock, so that it can never hit an
// exchange that was given back and belongs to another request by now.
func (x *Relay) Interrupt(why Reason) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.current != nil {
		x.why = why
		x.current.Cancel(why)
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

// pump copies the request's body in a goroutine of its own, so that an early
// answer can flow while the body still does.
type pump struct {
	done      chan struct{}
	failed    bool
	finishing atomic.Bool
}

func startPump(c Caller, ex Exchange) *pump {
	p := &pump{done: make(chan struct{})}
	go func() {
		defer close(p.done)
		readErr, writeErr := copyBody(&finishMark{ex, &p.finishing}, c)
		p.failed = readErr != nil || writeErr != nil
		if readErr != nil {
			// The caller's body broke off: the answer must not be waited for.
			ex.Cancel(ClientGone)
		}
	}()
	return p
}

// join ends the pump when the answer has ended, and says whether the whole
// request had been sent.
func (p *pump) join(c Caller, ex Exchange, failed *Error) bool {
	select {
	case <-p.done:
	default:
		if failed != nil || !p.finishing.Load() {
			c.StopBody()
			ex.Cancel(ClientGone)
		}
		<-p.done
	}
	return !p.failed
}

// finishMark notes that the last write of a body has begun: what is left of
// it needs nothing from the caller.
type finishMark struct {
	Sink
	begun *atomic.Bool
}

func (m *finishMark) Write(p []byte, end bool) error {
	if end {
		m.begun.Store(true)
	}
	return m.Sink.Write(p, end)
}

func (m *finishMark) Finish(t []Field) error {
	m.begun.Store(true)
	return m.Sink.Finish(t)
}
