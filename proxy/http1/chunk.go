package http1

import "bytes"

// FreeExtensions is how many times a chunk's line all extensions of a body may take,
// besides as much as its data.
const FreeExtensions = 16

// Chunks decodes a chunked body (RFC 9112, section 7.1). The zero value is
// ready. Chunk extensions are checked and dropped: they are per hop.
type Chunks struct {
	Limits *Limits // nil for the defaults

	state      chunkState
	left       int64 // bytes left of the current chunk
	data       int64 // bytes of data so far
	extensions int64 // bytes of extensions so far
	lines      lines
	trailers   []Field
}

// chunkState says what comes next.
type chunkState uint8

const (
	chunkSize chunkState = iota
	chunkData
	chunkEnd
	chunkTrailers
	chunksDone
)

// Next takes what it can from the start of b: n bytes, of which data, a slice
// of b, belongs to the body. The next call must begin behind those n bytes.
//
// Data may be empty while n is not. n == 0 without an error means that b is too
// short, or that Done is true. Errors are always of type Error and final.
// Lines and trailers are read as a whole, so b must be able to hold them.
func (c *Chunks) Next(b []byte) (data []byte, n int, err error) {
	for {
		var took int
		switch c.state {
		case chunkSize:
			took, err = c.size(b[n:])
		case chunkData:
			took = int(min(c.left, int64(len(b)-n)))
			data = b[n : n+took]
			c.left -= int64(took)
			c.data += int64(took)
			if c.left == 0 {
				c.state = chunkEnd
			}
			return data, n + took, nil
		case chunkEnd:
			took, err = c.end(b[n:])
		case chunkTrailers:
			took, err = c.readTrailers(b[n:])
		case chunksDone:
			return nil, n, nil
		}
		if err != nil || took == 0 {
			return nil, n, err
		}
		n += took
	}
}

// Skip goes over what stands between two chunks at the start of b, the line end
// behind the one and the line before the other, and returns how many bytes that
// are. What is not whole, or malformed, is left to Next.
func (c *Chunks) Skip(b []byte) (n int) {
	for c.state == chunkEnd || c.state == chunkSize {
		took, err := 0, error(nil)
		if c.state == chunkEnd {
			took, err = c.end(b[n:])
		} else {
			took, err = c.size(b[n:])
		}
		if err != nil || took == 0 {
			break
		}
		n += took
	}
	return n
}

// Ready reports whether Next finds data, or the end of the body, at the start of
// b. Skip must have gone before.
func (c *Chunks) Ready(b []byte) bool {
	switch c.state {
	case chunkData:
		return len(b) > 0
	case chunkTrailers:
		return bytes.HasPrefix(b, []byte("\r\n")) || bytes.Contains(b, []byte("\r\n\r\n"))
	}
	return c.state == chunksDone
}

// Last reports whether no more data follows.
func (c *Chunks) Last() bool { return c.state >= chunkTrailers }

// Done reports whether the body, trailers included, is complete.
func (c *Chunks) Done() bool { return c.state == chunksDone }

// Trailers returns the trailer fields once Done; they are slices of the buffer
// of the last call.
func (c *Chunks) Trailers() []Field { return c.trailers }

// Reset makes ready for the next body.
func (c *Chunks) Reset() {
	clear(c.trailers)
	*c = Chunks{Limits: c.Limits, lines: c.lines, trailers: c.trailers[:0]}
	c.lines.reset(0)
}

// size reads a chunk's first line.
func (c *Chunks) size(b []byte) (int, error) {
	most := c.Limits.chunkLine()
	end := bytes.IndexByte(b[:min(len(b), most)], '\n')
	if end < 0 {
		if len(b) >= most {
			return 0, Error{Kind: ErrBadChunkExtension}
		}
		return 0, nil
	}
	if end == 0 || b[end-1] != '\r' {
		return 0, Error{Kind: ErrBareLF}
	}
	size, digits := parseHex(b[:end-1])
	if digits == 0 {
		return 0, refuse(b[0], ErrBadChunkSize)
	}
	if err := c.extension(b[digits : end-1]); err != nil {
		return 0, err
	}
	c.left, c.state = size, chunkData
	if size == 0 {
		c.lines.reset(0)
		c.state = chunkTrailers
	}
	return end + 1, nil
}

// extension judges what stands behind a chunk's size. Its bytes are cheap for a
// peer and dear for us, so they may not outgrow the data by much.
func (c *Chunks) extension(ext []byte) error {
	if len(ext) == 0 {
		return nil
	}
	if ext[0] != ';' {
		return refuse(ext[0], ErrBadChunkSize)
	}
	if bad := badText(ext); bad >= 0 {
		return refuse(ext[bad], ErrBadChunkExtension)
	}
	if c.extensions += int64(len(ext)); c.extensions > int64(FreeExtensions*c.Limits.chunkLine())+c.data {
		return Error{Kind: ErrBadChunkExtension}
	}
	return nil
}

// end reads the CRLF behind a chunk's data.
func (c *Chunks) end(b []byte) (int, error) {
	switch {
	case len(b) > 0 && b[0] != '\r', len(b) > 1 && b[1] != '\n':
		return 0, Error{Kind: ErrBadChunkEnd}
	case len(b) < 2:
		return 0, nil
	}
	c.state = chunkSize
	return 2, nil
}

// readTrailers reads the trailer section. Fields that frame or route a message
// may not come behind it (RFC 9110, section 6.5.1).
func (c *Chunks) readTrailers(b []byte) (int, error) {
	limits := c.Limits.trailers()
	n, err := c.lines.find(b, &limits)
	if n == 0 {
		return 0, err
	}
	var has facts
	c.trailers, err = parseFields(c.trailers[:0], b, &c.lines, &has)
	if err != nil {
		return 0, err
	}
	for i := range c.trailers {
		f := &c.trailers[i]
		if f.hop || !f.Kind.Trailer() {
			return 0, Error{Kind: ErrBadTrailer}
		}
	}
	c.state = chunksDone
	return n, nil
}

// parseHex reads leading hexadecimal digits. It gives up, with digits 0, on a
// number that does not fit.
func parseHex(b []byte) (n int64, digits int) {
	for _, c := range b {
		var d byte
		switch {
		case digit(c):
			d = c - '0'
		case 'a' <= lower(c) && lower(c) <= 'f':
			d = lower(c) - 'a' + 10
		default:
			return n, digits
		}
		if digits++; digits > 16 || n>>59 != 0 {
			return 0, 0
		}
		n = n<<4 | int64(d)
	}
	return n, digits
}
