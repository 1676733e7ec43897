package mux

// turnList is the streams whose Write waits for room, in the order of their
// turns. The list runs through the streams themselves.
type turnList struct{ first, last *Stream }

func (t *turnList) push(s *Stream) {
	if s.queued {
		return
	}
	s.queued = true
	s.prev, s.next = t.last, nil
	if t.last == nil {
		t.first = s
	} else {
		t.last.next = s
	}
	t.last = s
}

func (t *turnList) remove(s *Stream) {
	if !s.queued {
		return
	}
	s.queued = false
	if s.prev == nil {
		t.first = s.next
	} else {
		s.prev.next = s.next
	}
	if s.next == nil {
		t.last = s.prev
	} else {
		s.next.prev = s.prev
	}
	s.prev, s.next = nil, nil
}
