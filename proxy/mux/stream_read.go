package mux

import (
	"context"
	"io"

	"github.com/leno-mesh/leno/proxy/http2"
)

// Head waits for the next head: on the accepting side that of the request,
// which is there at once; on the opening side every 1xx head, and then the
// final one. With end set no body follows. The fields stay valid until Release.
// ErrHeadTooLarge says that those of a request were over the limit.
//
// When ctx ends first its cause is the error, and the stream is as it was.
func (s *Stream) Head(ctx context.Context) (fields []http2.Field, end bool, err error) {
	if s.link == nil {
		return nil, false, ErrReleased
	}
	done := ctx.Done()
	for {
		s.mu.Lock()
		if s.nextHead < len(s.heads) {
			h := s.heads[s.nextHead]
			s.nextHead++
			fields := s.fields[h.from:h.to:h.to]
			s.mu.Unlock()
			if h.tooLarge {
				return fields, h.end, ErrHeadTooLarge
			}
			return fields, h.end, nil
		}
		if s.err != nil || s.ended {
			err := s.end()
			s.mu.Unlock()
			return nil, false, err
		}
		s.waits = true
		s.mu.Unlock()
		if done == nil {
			<-s.readWake
			continue
		}
		select {
		case <-s.readWake:
		case <-done:
			return nil, false, context.Cause(ctx)
		}
	}
}

// end is the error after everything has been read: io.EOF only when the peer
// said END_STREAM.
func (s *Stream) end() error {
	if s.err != nil {
		return s.err
	}
	return io.EOF
}

// cut says whether what came and was not read is lost. What a server had said before
// it reset the stream, or was gone, is its caller's, as the messages of a stream of
// gRPC are; it was received and counted before. What a client had said before it gave
// up nobody needs, nor anything after this side ended the stream. s.mu is held.
func (s *Stream) cut() bool { return s.err != nil && !(s.err.Remote && s.link.client) }

// Next waits for bytes of the body and gives some without copying them. They
// are valid until the next call of Next, Read or Release, which is also when
// the peer gets its credit back. At END_STREAM it gives io.EOF; any other end is
// a *StreamError, on the opening side after what had come before.
func (s *Stream) Next() ([]byte, error) {
	if s.link == nil {
		return nil, ErrReleased
	}
	s.mu.Lock()
	grant := s.settle()
	for s.in.size == 0 || s.cut() {
		if s.stopped {
			s.mu.Unlock()
			s.returnCredit(grant)
			return nil, errStopped
		}
		if s.err != nil || s.ended {
			err := s.end()
			s.mu.Unlock()
			return nil, err
		}
		s.waits = true
		s.mu.Unlock()
		s.returnCredit(grant)
		<-s.readWake
		s.mu.Lock()
		grant = 0
	}
	p := s.in.peek()
	s.peeked = len(p)
	s.mu.Unlock()
	s.returnCredit(grant)
	return p, nil
}

// StopRead has Next, and one that waits, give a time-out instead of waiting for
// more, until ResumeRead. Nothing that has come is lost.
func (s *Stream) StopRead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = true
	if s.wakeable() == deliverWake {
		signal(s.readWake)
	}
}

// ResumeRead undoes StopRead.
func (s *Stream) ResumeRead() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopped = false
}

// Read is Next with a copy, for io.Reader.
func (s *Stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	b, err := s.Next()
	if err != nil {
		return 0, err
	}
	n := copy(p, b)
	s.mu.Lock()
	s.peeked = n
	grant := s.settle()
	s.mu.Unlock()
	s.returnCredit(grant)
	return n, nil
}

// Buffered gives the whole body without taking it, when all of it has come and
// lies in one piece. It stays valid until Next, Read or Release.
func (s *Stream) Buffered() (body []byte, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil || !s.ended || s.in.first != s.in.last {
		return nil, false
	}
	return s.in.peek()[s.peeked:], true
}

// Waiting says whether Next would have to wait for the peer.
func (s *Stream) Waiting() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in.size == s.peeked && !s.ended && s.err == nil
}

// Last says whether what Next gave last was the end of the body, so that the
// next call would give io.EOF.
func (s *Stream) Last() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended && s.err == nil && s.in.size == s.peeked
}

// Trailers gives the fields after the body, once Next or Read gave io.EOF.
// They stay valid until Release.
func (s *Stream) Trailers() []http2.Field {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.trailers
	return s.fields[t.from:t.to:t.to]
}

// settle drops what Next gave, and says how much credit is due to the peer:
// gathered to a quarter of the window, and with the window's growth. s.mu is
// held.
func (s *Stream) settle() (grant int) {
	n := s.peeked
	if n == 0 {
		return 0
	}
	s.peeked = 0
	s.in.drop(s.link.mem, n)
	s.owed += n
	s.since += n
	if s.ended || s.err != nil || s.owed < s.window/4 {
		return 0
	}
	if s.in.size == 0 && s.since >= s.window && s.window < s.link.cfg.MaxStreamWindow {
		more := min(s.window, s.link.cfg.MaxStreamWindow-s.window)
		if s.link.mem.grow(more) {
			s.window += more
			s.owed += more
			s.since = 0
		}
	}
	grant = s.owed
	s.owed = 0
	s.credit += grant
	return grant
}

func (s *Stream) returnCredit(n int) {
	if n == 0 {
		return
	}
	l := s.link
	l.mu.Lock()
	if !s.recvDone {
		o := l.buffer()
		o.b = http2.AppendWindowUpdate(o.b, s.id, uint32(n))
	}
	l.unlockKick()
}
