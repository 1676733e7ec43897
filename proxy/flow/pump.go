package flow

import (
	"cmp"
	"errors"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/proxy/http1"
)

// pump copies the request's body in a goroutine of its own, so that an early
// answer can flow while the body still does.
type pump struct {
	done              chan struct{}
	readErr, writeErr error         // set before done is closed
	came              atomic.Bool   // something of the body was there
	finishing         atomic.Bool   // the last write has begun
	moves             atomic.Uint64 // writes that began and ended: odd within one
	untaken           time.Duration // see Relay.Untaken
}

// startPump begins to copy. What is read is kept too, unless keep is nil.
func startPump(c Caller, ex Exchange, keep *kept, untaken time.Duration) *pump {
	p := &pump{done: make(chan struct{}), untaken: cmp.Or(untaken, UntakenTime)}
	var from Body = c
	if keep != nil {
		from = keepingBody{c, keep}
	}
	go func() {
		defer close(p.done)
		p.readErr, p.writeErr = copyBody(&pumped{ex, p}, from, nil)
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

// UntakenTime is how long the other end may take nothing of a body once its
// answer is whole.
const UntakenTime = 30 * time.Second

// join ends the pump when the answer has ended, and says whether the whole
// request had been sent. An answer that is whole does not end the request: the
// other end may go on reading. What is left of the body is dropped when it does
// not, or when cut is set.
func (p *pump) join(c Caller, ex Exchange, cut bool) bool {
	if !cut {
		p.outlast(ex)
	}
	select {
	case <-p.done:
	default:
		c.StopBody()
		ex.Cancel(ClientGone, 0)
		<-p.done
		return false // the pump may have been done just then, but both ends were stopped
	}
	return p.readErr == nil && p.writeErr == nil
}

// outlast waits until the body is sent, or the other end takes no more of it.
func (p *pump) outlast(ex Exchange) {
	select {
	case <-p.done:
		return
	default:
	}
	gone := make(chan struct{}, 1)
	if !p.finishing.Load() { // else the last write ends by itself
		ex.Watch(func() {
			select {
			case gone <- struct{}{}:
			default:
			}
		})
		defer ex.Unwatch()
	}
	look := time.NewTicker(p.untaken)
	defer look.Stop()
	for last := p.moves.Load(); ; {
		select {
		case <-p.done:
			return
		case <-gone:
			return
		case <-look.C:
			now := p.moves.Load()
			if now == last && now%2 == 1 {
				return
			}
			last = now
		}
	}
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

// pumped is the sink of a pump, which notes how its writes go.
type pumped struct {
	Sink
	pump *pump
}

func (s *pumped) Write(p []byte, end bool) error {
	s.pump.came.Store(true)
	s.pump.begin(end)
	defer s.pump.moves.Add(1)
	return s.Sink.Write(p, end)
}

func (p *pump) begin(last bool) {
	if last {
		p.finishing.Store(true)
	}
	p.moves.Add(1)
}

func (s *pumped) Flush() error {
	s.pump.begin(false)
	defer s.pump.moves.Add(1)
	return s.Sink.Flush()
}

func (s *pumped) Finish(t []Field) error {
	s.pump.begin(true)
	defer s.pump.moves.Add(1)
	return s.Sink.Finish(t)
}
