package http2

// beginFragment opens or continues a header block, bounded in frames and in
// bytes before any of them is taken.
func (r *Reader) beginFragment(h frameHeader) *Error {
	if h.typ == FrameHeaders {
		r.blockCount++
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
func (r *Reader) fragment(b []byte, ev *Event) (int, *Error) {
	n := min(len(b), r.left)
	body := b[:max(0, min(n, r.left-r.pad))]
	r.left -= n
	r.open = r.left > 0
	if r.open || !r.head.has(FlagEndHeaders) {
		r.block = append(r.block, body...)
		return n, nil
	}
	if len(r.block) > 0 {
		r.block = append(r.block, body...)
		body = r.block
	}
	r.inBlock = false
	return n, r.headers(body, ev)
}

// headers decodes a whole block.
func (r *Reader) headers(block []byte, ev *Event) *Error {
	if cap(r.fields) > keepFields {
		r.fields = nil
	}
	fields, kind := r.dec.decode(block, r.fields[:0], r.limits.MaxHeaderBytes, r.limits.MaxFields)
	r.fields = fields
	if cap(r.block) > keepBlock {
		r.block = nil
	} else {
		r.block = r.block[:0]
	}
	if kind == KindCompression {
		return connError(ErrCodeCompression, kind)
	}
	ev.Type = EventHeaders
	ev.Stream = r.blockStream
	ev.EndStream = r.blockEnd
	ev.Fields = fields
	if r.blockLoop {
		return streamError(r.blockStream, ErrCodeProtocol, KindDependency)
	}
	if kind == KindHeaderList {
		ev.TooLarge = true
		return streamError(r.blockStream, ErrCodeEnhanceYourCalm, kind)
	}
	return nil
}
