package mux

import "github.com/leno-mesh/leno/proxy/http2"

// verdict is what became of something that was delivered to a stream.
type verdict uint8

const (
	delivered   verdict = iota
	deliverWake         // the stream's reader sleeps
	deliverGone         // the stream is not this one any more
	deliverMalformed
	deliverOverrun // more than the window
	deliverShed    // over the memory total
)

func (r *reader) onHeaders(ev *http2.Event) error {
	l := r.l
	l.mu.Lock()
	s := l.streams.get(ev.Stream)
	if s == nil {
		return r.acceptLocked(ev)
	}
	late := s.recvDone
	if ev.EndStream && !late {
		l.endRecv(s)
	}
	l.mu.Unlock()
	if late {
		l.refuse(ev.Stream, http2.ErrCodeStreamClosed, "head after the end")
		r.unstart(s, ev.Stream)
		return nil
	}
	r.conclude(s, ev.Stream, s.putHead(l, ev))
	return nil
}

// acceptLocked takes HEADERS of a stream that is not open. It gives the lock back.
func (r *reader) acceptLocked(ev *http2.Event) error {
	l := r.l
	if known, err := l.known(ev.Stream); known || err != nil {
		if err == nil {
			err = l.late(ev.Stream)
		}
		l.mu.Unlock()
		// Those of streams that we opened may be as many as we gave up.
		if err == nil && !l.client {
			err = r.count(&r.counts.idle, l.cfg.Floods.Idle, "heads of closed streams")
		}
		return err
	}
	if l.closing {
		l.mu.Unlock() // after our GOAWAY: the peer knows that it was not taken
		return nil
	}
	l.lastID = ev.Stream
	l.past.note(ev.Stream, endUnknown)
	if l.fullUp() {
		err := l.answerReset(ev.Stream, http2.ErrCodeRefusedStream)
		l.mu.Unlock()
		return err
	}
	s := l.mem.stream()
	l.adopt(s, ev.Stream)
	if ev.EndStream {
		l.endRecv(s)
	}
	w := l.claimWorker()
	l.mu.Unlock()
	r.starts = append(r.starts, start{s, w})
	s.startsAt = len(r.starts)
	r.conclude(s, ev.Stream, s.putHead(l, ev))
	return nil
}

// fullUp says whether one more stream would be too many: for the link, its
// peer, or the proxy. Conn.mu is held.
func (l *Conn) fullUp() bool {
	return l.streams.len() >= l.cfg.MaxStreams || l.running >= 2*l.cfg.MaxStreams ||
		l.mem.over() || l.mem.crowded() || l.cfg.Share.full(l.mem)
}

// known says whether the stream, which is not open, was open before, or will
// never be. Others may only be opened, in order and by the client. Conn.mu is
// held.
func (l *Conn) known(id uint32) (bool, error) {
	if id&1 == 0 {
		return false, protocolError("stream of the accepting side")
	}
	if l.client {
		if id >= l.nextID {
			return false, protocolError("stream that was not opened")
		}
		return true, nil
	}
	return id <= l.lastID || l.excluded(id), nil
}

// excluded says whether our GOAWAY told the peer that the stream is not taken.
// What it had sent for it by then is to be dropped (RFC 9113, section 6.8).
// Conn.mu is held.
func (l *Conn) excluded(id uint32) bool { return !l.client && id > l.acceptMax }

// late judges HEADERS or DATA of a stream that is not open any more. Its peer may
// not know that yet, unless it ended the stream itself. Conn.mu is held.
func (l *Conn) late(id uint32) error {
	if l.excluded(id) {
		return nil
	}
	switch l.past.how(id) {
	case endNever:
		return protocolError("stream below one that was opened")
	case endStream:
		return connError(http2.ErrCodeStreamClosed, "frame of a stream that had ended")
	case endReset:
		return l.answerReset(id, http2.ErrCodeStreamClosed)
	default:
		return nil
	}
}

// skipStream counts a stream as seen that is reset before it began.
func (r *reader) skipStream(id uint32, code http2.ErrCode) error {
	l := r.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams.get(id) != nil {
		return nil
	}
	if known, err := l.known(id); known || err != nil {
		return err
	}
	l.lastID = id
	l.past.note(id, endUnknown)
	return l.answerReset(id, code)
}

func (r *reader) onData(ev *http2.Event) error {
	l := r.l
	r.credit -= ev.Flow
	r.owed += ev.Flow
	if r.credit < 0 {
		return connError(http2.ErrCodeFlowControl, "more data than the link's window")
	}
	if len(ev.Data) == 0 && ev.Last && !ev.EndStream {
		if err := r.count(&r.counts.idle, r.l.cfg.Floods.Idle, "empty DATA frames"); err != nil {
			return err
		}
	}
	s := r.recent
	if ev.Stream != r.recentID || ev.EndStream {
		var err error
		if s, err = r.find(ev); err != nil || s == nil {
			return err
		}
		r.recent, r.recentID = s, ev.Stream
	}
	r.conclude(s, ev.Stream, s.putData(l, ev))
	return nil
}

// find gives the stream of a DATA frame; nil when it has ended here.
func (r *reader) find(ev *http2.Event) (*Stream, error) {
	l := r.l
	l.mu.Lock()
	s := l.streams.get(ev.Stream)
	if s == nil {
		known, err := l.known(ev.Stream)
		switch {
		case err != nil:
		case !known:
			err = protocolError("data of a stream that was not opened")
		default:
			err = l.late(ev.Stream)
		}
		l.mu.Unlock()
		// Long ones were on their way when the stream was reset, and cost their
		// sender as much as those of a stream that stands.
		if err == nil && ev.Last && ev.Flow < TinyWindow {
			err = r.count(&r.counts.idle, r.l.cfg.Floods.Idle, "DATA frames of closed streams")
		}
		return nil, err
	}
	late := s.recvDone
	if ev.EndStream && !late {
		l.endRecv(s)
	}
	l.mu.Unlock()
	if late {
		l.refuse(ev.Stream, http2.ErrCodeStreamClosed, "data after the end")
		r.unstart(s, ev.Stream)
		return nil, nil
	}
	return s, nil
}

// conclude acts on what a delivery found.
func (r *reader) conclude(s *Stream, id uint32, v verdict) {
	switch v {
	case deliverWake:
		r.wake(s)
	case deliverMalformed:
		r.l.fault(s, id, http2.ErrCodeProtocol, "malformed message")
	case deliverOverrun:
		r.l.fault(s, id, http2.ErrCodeFlowControl, "more data than the window")
	case deliverShed:
		r.l.spoil(s, id, http2.ErrCodeEnhanceYourCalm, "shed: memory total reached")
	case delivered, deliverGone:
	}
}

// refuse resets a stream for what its peer did.
func (l *Conn) refuse(id uint32, code http2.ErrCode, reason string) {
	if l.reset(id, &StreamError{Code: code, Reason: reason}, true) {
		l.blame()
	}
}

// fault is refuse for something that was delivered.
func (l *Conn) fault(s *Stream, id uint32, code http2.ErrCode, reason string) {
	l.blame()
	l.spoil(s, id, code, reason)
}

// spoil resets a stream after something was delivered. It may have been the last
// that was to come, so that the stream has left the table; who reads it must
// learn of it all the same.
func (l *Conn) spoil(s *Stream, id uint32, code http2.ErrCode, reason string) {
	e := &StreamError{Code: code, Reason: reason}
	if !l.reset(id, e, true) {
		s.fail(l, id, e, false)
	}
}

// putHead adds a header block to the stream, if it still is the one looked up.
func (s *Stream) putHead(l *Conn, ev *http2.Event) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != l || s.id != ev.Stream {
		return deliverGone
	}
	if s.ended || len(s.heads) >= l.cfg.Frames.heads() || s.final && !ev.EndStream {
		return deliverMalformed
	}
	if v := s.roomForHead(l, ev); v != delivered {
		return v
	}
	h := headBlock{from: len(s.fields), end: ev.EndStream, tooLarge: ev.TooLarge}
	s.fields = append(s.fields, ev.Fields...)
	h.to = len(s.fields)
	if s.final {
		if l.cfg.Strict && http2.ValidateTrailers(ev.Fields) != nil {
			return deliverMalformed
		}
		s.trailers = h
	} else {
		s.heads = append(s.heads, h)
		s.final = !l.client || !interim(ev.Fields)
		if s.want = -1; l.cfg.Strict && s.final && !ev.EndStream {
			s.want = s.promised(l, ev.Fields)
		}
	}
	if s.ended = ev.EndStream; s.ended && s.short() {
		return deliverMalformed
	}
	return s.wakeable()
}

// promised is the length of the body that a head announces, -1 when it does not.
// The answer to HEAD, and one of status 304, give the length of a body that they
// do not have (RFC 9110, section 8.6). s.mu is held.
func (s *Stream) promised(l *Conn, fields []http2.Field) int64 {
	if s.bodyless || l.client && value(fields, ":status") == "304" {
		return 0
	}
	return http2.ContentLength(fields)
}

// short says whether a body that has ended has another length than its head
// promised (RFC 9113, section 8.1.1). s.mu is held.
func (s *Stream) short() bool { return s.want >= 0 && s.got != s.want }

// interim says whether a response head is a 1xx one.
func interim(fields []http2.Field) bool {
	status := value(fields, ":status")
	return len(status) == 3 && status[0] == '1'
}

// value gives the first field called name.
func value(fields []http2.Field, name string) string {
	for i := range fields {
		if f := &fields[i]; f.Name == name {
			return f.Value
		}
	}
	return ""
}

// putData adds a piece of a DATA frame.
func (s *Stream) putData(l *Conn, ev *http2.Event) verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != l || s.id != ev.Stream || s.err != nil {
		return deliverGone
	}
	if !s.final || s.ended {
		return deliverMalformed
	}
	s.credit -= ev.Flow
	if s.credit < 0 {
		return deliverOverrun
	}
	s.owed += ev.Flow - len(ev.Data) // padding is taken at once
	if s.in.size > shedUnread && l.mem.short() {
		return deliverShed
	}
	s.got += int64(len(ev.Data))
	if s.want >= 0 && s.got > s.want {
		return deliverMalformed
	}
	s.in.add(l.mem, ev.Data, s.window >= bulkWindow)
	if ev.EndStream {
		if s.ended = true; s.short() {
			return deliverMalformed
		}
	} else if len(ev.Data) == 0 {
		return delivered
	}
	return s.wakeable()
}

// wakeable says whether the stream's reader is to be woken. s.mu is held.
func (s *Stream) wakeable() verdict {
	if !s.waits {
		return delivered
	}
	s.waits = false
	return deliverWake
}
