package flow

import (
	"errors"
	"sync/atomic"

	"github.com/leno-mesh/leno/proxy/http1"
)

// pump copies the request's body in a goroutine of its own, so that an early
// answer can flow while the body still does.
type pump struct {
	done              chan struct{}
	readErr, writeErr error // set before done is closed
	finishing         atomic.Bool
}

// startPump begins to copy. What is read is kept too, unless keep is nil.
func startPump(c Caller, ex Exchange, keep *kept) *pump {
	p := &pump{done: make(chan struct{})}
	var from Body = c
	if keep != nil {
		from = keepingBody{c, keep}
	}
	go func() {
		defer close(p.done)
		p.readErr, p.writeErr = copyBody(&finishMark{ex, &p.finishing}, from, nil)
		// Where the body broke off or is not what its head promised, the
		// answer must not be waited for.
		var malformed http1.Error
		switch {
		case errors.As(p.readErr, &malformed), errors.Is(p.writeErr, ErrLength), errors.Is(p.writeErr, ErrTrailer):
			ex.Cancel(BadRequest, 0)
		case p.readErr != nil:
			ex.Cancel(ClientGone, 0)
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
			ex.Cancel(ClientGone, 0)
			<-p.done
			return false // the pump may have been done just then, but both ends were stopped
		}
		<-p.done
	}
	return p.readErr == nil && p.writeErr == nil
}

// rewind stops the pump of a request that was not handed over. It says whether
// all that was read of the body has been kept.
func (p *pump) rewind(c Caller, ex Exchange, k *kept) bool {
	c.StopBody()
	ex.Cancel(ClientGone, 0)
	<-p.done
	if p.readErr != nil && !isTimeout(p.readErr) {
		return false
	}
	if k.over || len(c.Trailers()) > 0 {
		return false
	}
	c.ResumeBody()
	k.held = true
	return true
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
