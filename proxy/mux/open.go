package mux

import (
	"strings"

	"github.com/leno-mesh/leno/proxy/http2"
)

// Open sends HEADERS and gives the new stream. It never blocks: when the link
// cannot take a stream it gives one of the Err values, and nothing was sent.
// The strings of fields are not kept; names may come in any case. With end set
// the request has no body.
func (l *Conn) Open(fields []http2.Field, end bool) (*Stream, error) {
	s := l.mem.stream()
	l.mu.Lock()
	err := l.openable()
	if err == nil && headSize(fields) > l.peerHeadMax {
		err = ErrHeadTooLarge
	}
	if err != nil {
		l.mu.Unlock()
		l.mem.streams.Put(s)
		return nil, err
	}
	id := l.nextID
	l.nextID += 2
	l.adopt(s, id)
	s.bodyless = l.cfg.Strict && value(fields, ":method") == "HEAD"
	l.appendHead(s, fields, end)
	l.unlockKick()
	return s, nil
}

// openable says what speaks against a new stream.
func (l *Conn) openable() error {
	switch {
	case l.closing:
		return ErrClosed
	case l.draining || l.nextID > http2.MaxStreamID || !l.client:
		return ErrDraining
	case l.unresponsive.Load():
		return ErrUnresponsive
	case l.streams.len() >= min(l.peerMax, l.cfg.MaxStreams), l.backlog() > backlogLimit:
		return ErrFull
	}
	return nil
}

// adopt makes s the stream id of this link.
func (l *Conn) adopt(s *Stream, id uint32) {
	s.begin(l, id)
	s.sendWindow = l.peerWindow
	l.streams.put(id, s)
	l.active.Add(1)
	l.startTicking()
}

// startTicking has tick look after the link. Conn.mu is held.
func (l *Conn) startTicking() {
	if !l.ticking {
		l.ticking = true
		l.timer.Reset(min(l.cfg.PingAfter, tickEvery))
	}
}

// appendHead encodes a header block; blocks travel in the order of encoding.
func (l *Conn) appendHead(s *Stream, fields []http2.Field, end bool) {
	o := l.buffer()
	mark := len(o.b)
	s.mark = l.taken + uint64(mark)
	b := http2.StartHeaders(o.b)
	for i := range fields {
		f := &fields[i]
		b = l.enc.Append(b, f.Name, f.Value, sensitive(f))
	}
	o.b = http2.FinishHeaders(b, mark, s.id, end, l.peerFrame)
	l.asks = true
	if end {
		l.endSend(s)
	}
}

// sensitive keeps short secrets out of the tables, where they could be guessed
// one by one (RFC 7541, section 7.1). Long ones cannot be guessed whole.
func sensitive(f *http2.Field) bool {
	if len(f.Value) >= 20 {
		return false
	}
	switch len(f.Name) {
	case len("cookie"):
		return strings.EqualFold(f.Name, "cookie")
	case len("set-cookie"):
		return strings.EqualFold(f.Name, "set-cookie")
	case len("authorization"):
		return strings.EqualFold(f.Name, "authorization")
	case len("proxy-authorization"):
		return strings.EqualFold(f.Name, "proxy-authorization")
	}
	return false
}

// headSize counts as RFC 9113, section 10.5.1, does.
func headSize(fields []http2.Field) int {
	n := 0
	for i := range fields {
		n += len(fields[i].Name) + len(fields[i].Value) + 32
	}
	return n
}

// endSend marks the own side of s as ended.
func (l *Conn) endSend(s *Stream) {
	s.sendDone = true
	if s.recvDone {
		l.forget(s)
	}
}

// endRecv marks the peer's side of s as ended.
func (l *Conn) endRecv(s *Stream) {
	s.recvDone = true
	l.past.note(s.id, endStream)
	if s.sendDone {
		l.forget(s)
	}
}

// drop ends s in both directions; what it still wanted to send fails with e.
func (l *Conn) drop(s *Stream, e *StreamError) {
	s.sendErr = e
	s.sendDone, s.recvDone = true, true
	l.turns.remove(s)
	s.writing = false
	l.forget(s)
}

// forget takes s out of the table.
func (l *Conn) forget(s *Stream) {
	l.streams.del(s.id)
	l.active.Add(-1)
	if l.streams.len() == 0 {
		l.empty()
	}
}
