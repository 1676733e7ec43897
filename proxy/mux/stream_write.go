package mux

import "github.com/leno-mesh/leno/proxy/http2"

// WriteHead sends a head: of the response, or an interim one (1xx). With end
// set nothing follows. Strings are not kept.
func (s *Stream) WriteHead(fields []http2.Field, end bool) error {
	return s.writeFields(fields, end)
}

// CloseWrite ends the own side, with trailers if there are any. In an opaque
// stream this is half-close.
func (s *Stream) CloseWrite(trailers []http2.Field) error {
	if len(trailers) == 0 {
		return s.WriteFinal(nil)
	}
	return s.writeFields(trailers, true)
}

func (s *Stream) writeFields(fields []http2.Field, end bool) error {
	l := s.link
	if l == nil {
		return ErrReleased
	}
	l.mu.Lock()
	for l.backlog() > backlogLimit && s.sendable() == nil {
		l.room.Wait()
	}
	err := s.sendable()
	if err == nil && headSize(fields) > l.peerHeadMax {
		err = ErrHeadTooLarge
	}
	if err != nil {
		l.mu.Unlock()
		return err
	}
	mark := s.mark
	l.appendHead(s, fields, end)
	if l.client {
		s.mark = mark // trailers do not move where the request began
	}
	l.unlockKick()
	return nil
}

// sendable says what speaks against sending. link.mu is held.
func (s *Stream) sendable() error {
	if s.sendErr != nil {
		return s.sendErr
	}
	if s.sendDone {
		return errEnded
	}
	return nil
}

// Write sends p. It returns when all of it is in the link's buffer: it waits
// for the windows and for its turn among the other streams, and keeps p only
// until it returns.
func (s *Stream) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return s.write(p, false)
}

// WriteFinal sends the last bytes, and END_STREAM in the same frame.
func (s *Stream) WriteFinal(p []byte) error {
	_, err := s.write(p, true)
	return err
}

func (s *Stream) write(p []byte, end bool) (int, error) {
	l := s.link
	if l == nil {
		return 0, ErrReleased
	}
	l.mu.Lock()
	if err := s.sendable(); err != nil {
		l.mu.Unlock()
		return 0, err
	}
	if l.fits(s, len(p)) {
		l.appendData(s, p, end)
		l.unlockKick()
		return len(p), nil
	}
	s.data, s.dataEnd, s.writing = p, end, true
	l.turns.push(s)
	l.fill()
	for s.writing {
		l.unlockKick()
		<-s.writeWake
		l.mu.Lock()
	}
	left := len(s.data)
	s.data = nil
	err := s.sendErr
	l.unlockKick() // all of it may have had its turn at once
	if left > 0 && err != nil {
		return len(p) - left, err
	}
	return len(p), nil
}

// fits says whether n bytes can go at once, past nobody who waits.
func (l *Conn) fits(s *Stream, n int) bool {
	if n == 0 {
		return true // END_STREAM alone takes no window
	}
	return l.turns.first == nil && l.outData < gatherLimit &&
		n <= Turn && n <= s.sendWindow && n <= l.connWindow
}
