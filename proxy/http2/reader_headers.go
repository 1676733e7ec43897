package http2

// beginFragment opens or continues a header block, bounded in frames and in
// bytes before any of them is taken.
func (r *Reader) beginFragment(h frameHeader) *Error {
	if h.typ == FrameHeaders {
		r.blockStream = h.stream
		r.blockEnd = h.has(FlagEndStream)
		r.blockFrames, r.blockLen = 0, 0
		r.block = r.block[:0]
	} else {
		r.blockFrames++
	}
	r.inBlock = true
	r.blockLen += r.left - r.pad
	if r.blockFrames > r.limits.MaxContinuations || r.blockLen > r.limits.MaxBlockBytes {
		return connError(ErrCodeEnhanceYourCalm, KindHeaderBlock)
	}
	return nil
}

// fragment takes what is there of a HEADERS or CONTINUATION frame. A block
// that is whole in b is decoded where it lies; pieces are collected.
func (r *Reader) fragment(b []byte) (Event, int, *Error) {
	n := min(len(b), r.left)
	body := b[:min(n, r.left-min(r.pad, r.left))]
	r.left -= n
	done := r.left == 0
	if done && r.head.has(FlagEndHeaders) {
		if len(r.block) > 0 {
			r.block = append(r.block, body...)
			body = r.block
		}
		r.open, r.inBlock = false, false
		ev, err := r.headers(body)
		return ev, n, err
	}
	r.block = append(r.block, body...)
	r.open = !done
	return Event{}, n, nil
}

// headers decodes a whole block.
func (r *Reader) headers(block []byte) (Event, *Error) {
	if cap(r.fields) > keepFields {
		r.fields = nil
	}
	fields, err := r.dec.decode(block, r.fields[:0], r.limits.MaxHeaderBytes)
	r.fields = fields
	if cap(r.block) > keepBlock {
		r.block = nil
	} else {
		r.block = r.block[:0]
	}
	ev := Event{
		Type:      EventHeaders,
		Stream:    r.blockStream,
		EndStream: r.blockEnd,
		Fields:    fields,
	}
	switch err {
	case 0:
		return ev, nil
	case KindHeaderList:
		return ev, streamError(r.blockStream, ErrCodeEnhanceYourCalm, err)
	default:
		return Event{}, connError(ErrCodeCompression, err)
	}
}
