package flow

import (
	"errors"
	"io"
	"sync/atomic"
	"time"
)

// Relay carries one request at a time between a caller and an exchange. It is
// kept for the life of a connection or a worker, so that a request costs no
// allocation.
type Relay struct {
	Response Response // the head of the answer that was relayed last
	timer    *time.Timer
	current  atomic.Pointer[exchangeRef]
	timedOut atomic.Bool
}

type exchangeRef struct{ ex Exchange }

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
	x.arm(ex, timeout)
	out := x.run(c, ex, r)
	if x.disarm(timeout) && out.Err != nil {
		out.Err = Fail(Timeout, out.Err)
	}
	ex.Done(out.Clean && out.Err == nil)
	return out
}

func (x *Relay) run(c Caller, ex Exchange, r *Request) Outcome {
	body, whole := c.Buffered()
	upgrade := r.Upgrade != ""
	head := r.Head
	if err := ex.Send(r, body, whole && !upgrade); err != nil {
		return Outcome{Err: AsError(err, PeerReset)}
	}
	var up *pump
	if !whole {
		up = startPump(c, ex)
	}
	out := x.answer(c, ex, head, &up)
	if up != nil {
		out.Clean = up.join(c, ex, out.Err) && out.Clean
	}
	return out
}

// answer relays the heads and the body of the answer. After a switch of
// protocols the request's direction becomes a pump of raw bytes.
func (x *Relay) answer(c Caller, ex Exchange, head bool, up **pump) Outcome {
	resp := &x.Response
	for {
		if err := ex.Receive(resp); err != nil {
			return Outcome{Err: AsError(err, PeerReset)}
		}
		if !resp.Interim() {
			break
		}
		if err := c.Respond(resp, false); err != nil {
			return Outcome{Err: Fail(ClientGone, err), Answered: true}
		}
	}
	switching := resp.Status == 101
	end := resp.Length == 0 && !switching || head
	if err := c.Respond(resp, end); err != nil {
		return Outcome{Err: Fail(ClientGone, err), Answered: true}
	}
	if end {
		return Outcome{Answered: true, Clean: true}
	}
	if switching && *up == nil {
		*up = startPump(c, ex)
	}
	switch readErr, writeErr := copyBody(c, ex); {
	case readErr != nil:
		return Outcome{Err: AsError(readErr, PeerReset), Answered: true}
	case writeErr != nil:
		return Outcome{Err: Fail(ClientGone, writeErr), Answered: true}
	}
	if switching {
		(*up).wait()
	}
	return Outcome{Answered: true, Clean: !switching}
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

// arm starts the request's time-out.
func (x *Relay) arm(ex Exchange, timeout time.Duration) {
	if timeout <= 0 {
		return
	}
	x.timedOut.Store(false)
	x.current.Store(&exchangeRef{ex})
	if x.timer == nil {
		x.timer = time.AfterFunc(timeout, x.expire)
		return
	}
	x.timer.Reset(timeout)
}

func (x *Relay) expire() {
	if ref := x.current.Swap(nil); ref != nil {
		x.timedOut.Store(true)
		ref.ex.Cancel(Timeout)
	}
}

// disarm stops the time-out and says whether it had struck. When it is just
// striking, the swap decides who was first.
func (x *Relay) disarm(timeout time.Duration) bool {
	if timeout <= 0 {
		return false
	}
	x.timer.Stop()
	x.current.Store(nil)
	return x.timedOut.Load()
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

func (p *pump) wait() { <-p.done }

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
