package mux

import "github.com/leno-mesh/leno/proxy/http2"

// The heads of a stream stay for as long as it does, since what was made of them
// refers to their strings. Large ones therefore count as memory of the links.

// roomForHead charges one more head of the stream. The first one was let in with
// the stream; more of them must not cost much, and have to wait for no memory.
// s.mu is held.
func (s *Stream) roomForHead(l *Conn, ev *http2.Event) verdict {
	size := s.headSize + headSize(ev.Fields)
	switch {
	case s.headSize == 0:
	case size > headsTimes*l.cfg.MaxHeaderBytes:
		return deliverMalformed
	case size > shedUnread && l.mem.short():
		return deliverShed
	}
	if more := headCharge(size) - headCharge(s.headSize); more > 0 {
		l.mem.take(more)
	}
	s.headSize = size
	return delivered
}

// forgetHeads drops what roomForHead charged. s.mu is held.
func (s *Stream) forgetHeads(l *Conn) {
	if held := headCharge(s.headSize); held > 0 {
		l.mem.give(held)
	}
	s.headSize = 0
	clear(s.fields)
	s.fields, s.heads = s.fields[:0], s.heads[:0]
	if cap(s.fields) > keepFields {
		s.fields = nil
	}
}

// headCharge is what heads of so many bytes cost beyond the place of their
// stream.
func headCharge(size int) int { return max(0, size-freeHeads) }
