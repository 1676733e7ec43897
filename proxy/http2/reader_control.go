package http2

import "encoding/binary"

// whole takes a control frame once all of it is in b (of a GOAWAY: all that is
// shown; the rest of its debug bytes is dropped).
func (r *Reader) whole(h frameHeader, b []byte, ev *Event) (int, *Error) {
	if err := r.checkSize(h); err != nil {
		if err.Stream == 0 {
			return 0, err
		}
		r.dropRest(h, h.length)
		return FrameHeaderLen, err
	}
	take := h.length
	if h.typ == FrameGoAway {
		take = min(take, 8+maxDebug)
	}
	n := FrameHeaderLen + take
	if len(b) < n {
		return 0, nil
	}
	r.dropRest(h, h.length-take)
	return n, control(h, b[FrameHeaderLen:n:n], ev)
}

// dropRest skips what follows of a frame without an event.
func (r *Reader) dropRest(h frameHeader, n int) {
	r.open, r.skip, r.head, r.left, r.then = n > 0, n > 0, h, n, EventNone
}

// checkSize holds the lengths of RFC 9113, sections 6.3 to 6.9. Only a wrong
// PRIORITY is an error of its stream.
func (r *Reader) checkSize(h frameHeader) *Error {
	ok := true
	switch h.typ {
	case FramePriority:
		if h.length != 5 {
			return streamError(h.stream, ErrCodeFrameSize, KindFrameSize)
		}
	case FrameReset, FrameWindowUpdate:
		ok = h.length == 4
	case FramePing:
		ok = h.length == 8
	case FrameGoAway:
		ok = h.length >= 8
	case FrameSettings:
		if h.length > r.limits.MaxSettings*settingLen {
			return connError(ErrCodeEnhanceYourCalm, KindSettings)
		}
		ok = h.length%settingLen == 0 && (h.length == 0 || !h.has(FlagAck))
	}
	if !ok {
		return connError(ErrCodeFrameSize, KindFrameSize)
	}
	return nil
}

// control fills the event of a frame of the right size.
func control(h frameHeader, p []byte, ev *Event) *Error {
	ev.Stream = h.stream
	switch h.typ {
	case FramePriority:
		if dependency(p) == h.stream {
			return connError(ErrCodeProtocol, KindDependency) // the stream may not even be open
		}
		ev.Type = EventPriority
	case FrameReset:
		ev.Type = EventReset
		ev.Code = ErrCode(binary.BigEndian.Uint32(p))
	case FrameSettings:
		return settings(h, p, ev)
	case FramePing:
		ev.Type, ev.Ack, ev.Ping = EventPing, h.has(FlagAck), [8]byte(p)
	case FrameGoAway:
		ev.Type = EventGoAway
		ev.LastStream = binary.BigEndian.Uint32(p) & MaxStreamID
		ev.Code = ErrCode(binary.BigEndian.Uint32(p[4:]))
		ev.Data = p[8:]
	case FrameWindowUpdate:
		increment := binary.BigEndian.Uint32(p) & MaxWindow
		if increment == 0 {
			return streamError(h.stream, ErrCodeProtocol, KindWindow)
		}
		ev.Type, ev.Increment = EventWindowUpdate, increment
	}
	return nil
}

// dependency reads the stream on which one depends.
func dependency(p []byte) uint32 { return binary.BigEndian.Uint32(p) & MaxStreamID }

func settings(h frameHeader, p []byte, ev *Event) *Error {
	for rest := p; len(rest) > 0; rest = rest[settingLen:] {
		if err := parseSetting(rest).check(); err != nil {
			return err
		}
	}
	ev.Type, ev.Ack, ev.Data = EventSettings, h.has(FlagAck), p
	return nil
}
