package http2

// Reader turns the bytes of a peer into events. The client's Preface is not
// part of it: a server takes that off first (SniffPreface).
//
// Frame sizes, stream identifiers being zero or not, padding, the order of
// CONTINUATION frames and the values of settings are checked here. Stream
// states, odd and even identifiers, flow control and floods are the caller's.
type Reader struct {
	limits Limits
	dec    *Decoder
	fields []Field
	dead   *Error // the connection error that ended this Reader
	began  bool   // the first frame was SETTINGS

	// The frame whose header was consumed and whose payload was not wholly.
	open bool
	head frameHeader
	left int       // payload bytes to come, padding included
	pad  int       // how many of them are padding
	flow int       // bytes of the payload consumed but not yet in an event
	skip bool      // the rest of the frame is dropped, then skipEvent given
	then EventType // after a skipped frame

	// The header block that is being assembled from several frames or pieces.
	inBlock     bool // CONTINUATION must follow
	blockStream uint32
	blockEnd    bool // END_STREAM was set on its HEADERS
	blockLoop   bool // its HEADERS depend on themselves
	blockCount  int  // header blocks that began
	blockFrames int
	blockLen    int // fragment bytes declared so far
	block       []byte
}

// NewReader returns a Reader for one connection.
func NewReader(limits Limits) *Reader {
	limits = limits.withDefaults()
	return &Reader{limits: limits, dec: NewDecoder(limits.TableSize)}
}

// Limits are the limits in force, defaults filled in.
func (r *Reader) Limits() Limits { return r.limits }

// Decoder gives the header decoder, for SetMaxTableSize.
func (r *Reader) Decoder() *Decoder { return r.dec }

// Block tells of the header block that is under way: which one of the connection
// it is, from 1, and the bytes in memory that it holds; 0 and 0 when there is none.
func (r *Reader) Block() (number, held int) {
	if !r.inBlock {
		return 0, 0
	}
	return r.blockCount, cap(r.block)
}

// Next consumes n bytes from the start of b and gives at most one event. Call
// it again with the rest. EventNone with n == 0 means that b is too short: add
// bytes and come again; EventNone with n > 0 means go on.
//
// An error is always a *Error. With Stream 0 the connection is over, and every
// further call gives the same error. Otherwise n bytes were consumed, reading
// can go on, and the stream is to be reset; for KindHeaderList ev is the
// EventHeaders with the fields that did fit, so that a server can answer 431.
func (r *Reader) Next(b []byte) (ev Event, n int, err error) {
	if r.dead != nil {
		return ev, 0, r.dead
	}
	n, e := r.next(b, &ev)
	if e == nil {
		return ev, n, nil
	}
	if e.Stream == 0 {
		r.dead = e
		r.block, r.fields = nil, nil
	}
	return ev, n, e
}

// next is Next; it fills ev, which is empty. Events travel as pointers in here,
// since copying them costs as much as reading a short frame.
func (r *Reader) next(b []byte, ev *Event) (int, *Error) {
	n := 0
	if !r.open {
		if len(b) < FrameHeaderLen {
			return 0, nil
		}
		h := parseFrameHeader(b)
		if err := r.check(h); err != nil {
			return 0, err
		}
		if isWhole(h.typ) {
			return r.whole(h, b, ev)
		}
		var err *Error
		if n, err = r.begin(h, b); n == 0 || err != nil {
			return n, err
		}
	}
	switch {
	case r.skip:
		return n + r.drop(b[n:], ev), nil
	case r.head.typ == FrameData:
		return n + r.data(b[n:], ev), nil
	}
	m, err := r.fragment(b[n:], ev)
	return n + m, err
}

// isWhole reports whether frames of type t are taken only when they are wholly
// in the buffer: those that are short by their nature or by our limits.
func isWhole(t FrameType) bool {
	switch t {
	case FramePriority, FrameReset, FrameSettings, FramePing, FrameGoAway, FrameWindowUpdate:
		return true
	}
	return false
}

// check holds what a frame header alone can do wrong. Errors here end the
// connection (RFC 9113, sections 4.2, 6 and 6.10).
func (r *Reader) check(h frameHeader) *Error {
	if !r.began {
		if h.typ != FrameSettings || h.has(FlagAck) {
			return connError(ErrCodeProtocol, KindFirstFrame)
		}
		r.began = true
	}
	if h.length > r.limits.MaxFrame {
		return connError(ErrCodeFrameSize, KindFrameSize)
	}
	if r.inBlock != (h.typ == FrameContinuation) || r.inBlock && h.stream != r.blockStream {
		return connError(ErrCodeProtocol, KindContinuation)
	}
	bad := false
	switch h.typ {
	case FrameData, FrameHeaders, FramePriority, FrameReset:
		bad = h.stream == 0
	case FrameSettings, FramePing, FrameGoAway:
		bad = h.stream != 0
	case FramePushPromise:
		return connError(ErrCodeProtocol, KindPush)
	}
	if bad {
		return connError(ErrCodeProtocol, KindStreamID)
	}
	return nil
}

// begin consumes the header of a frame that is read in pieces, and the fields
// that stand before its payload proper.
func (r *Reader) begin(h frameHeader, b []byte) (int, *Error) {
	n, lead, pad := FrameHeaderLen, 0, 0
	padded := h.has(FlagPadded) && (h.typ == FrameData || h.typ == FrameHeaders)
	if padded {
		lead++
	}
	if h.typ == FrameHeaders && h.has(FlagPriority) {
		lead += 5 // dependency and weight, without a meaning any more
	}
	if h.length < lead {
		return 0, connError(ErrCodeFrameSize, KindFrameSize)
	}
	if len(b) < n+lead {
		return 0, nil
	}
	if padded {
		pad = int(b[n])
	}
	if pad > h.length-lead {
		return 0, connError(ErrCodeProtocol, KindPadding)
	}
	r.open, r.head, r.left, r.pad, r.flow = true, h, h.length-lead, pad, lead
	if h.typ == FrameHeaders {
		r.blockLoop = h.has(FlagPriority) && dependency(b[n+lead-5:]) == h.stream
	}
	switch h.typ {
	case FrameData:
	case FrameHeaders, FrameContinuation:
		if err := r.beginFragment(h); err != nil {
			return 0, err
		}
	default:
		r.skip, r.then = true, EventUnknown
	}
	return n + lead, nil
}

// data gives what is there of a DATA frame.
func (r *Reader) data(b []byte, ev *Event) int {
	n := min(len(b), r.left)
	if n == 0 && r.left > 0 {
		return 0
	}
	body := max(0, min(n, r.left-r.pad))
	r.left -= n
	r.open = r.left > 0

	ev.Type = EventData
	ev.Stream = r.head.stream
	ev.Data = b[:body:body]
	ev.Flow = n + r.flow
	ev.Last = !r.open
	ev.EndStream = ev.Last && r.head.has(FlagEndStream)
	r.flow = 0
	return n
}

// drop skips payload.
func (r *Reader) drop(b []byte, ev *Event) int {
	n := min(len(b), r.left)
	r.left -= n
	if r.left == 0 {
		r.open, r.skip = false, false
		ev.Type, ev.Stream = r.then, r.head.stream
	}
	return n
}
