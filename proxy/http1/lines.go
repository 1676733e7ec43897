package http1

import (
	"bytes"
	"cmp"
)

// Limits bounds a message. Zero values mean the defaults.
type Limits struct {
	Head   int // bytes of the whole head; 64 KiB
	Line   int // bytes of one line with its CRLF; 16 KiB
	Fields int // how many fields; 128

	ChunkLine    int // bytes of a chunk's size and extensions; 1 KiB
	TrailerBytes int // of the whole section; 16 KiB
	Trailers     int // how many fields; 64
	// Interim is how many 1xx answers a request may get before its final one; 15.
	// Who reads them counts them.
	Interim int
}

// The defaults of Limits.
const (
	DefaultHead   = 64 << 10
	DefaultLine   = 16 << 10
	DefaultFields = 128

	DefaultChunkLine    = 1 << 10
	DefaultTrailerBytes = 16 << 10
	DefaultTrailers     = 64
	DefaultInterim      = 15
)

// chunkLine is the bound of a chunk's first line; the receiver may be nil.
func (l *Limits) chunkLine() int {
	if l == nil {
		return DefaultChunkLine
	}
	return cmp.Or(l.ChunkLine, DefaultChunkLine)
}

// trailers is what bounds a trailer section; the receiver may be nil.
func (l *Limits) trailers() Limits {
	if l == nil {
		l = &Limits{}
	}
	n := cmp.Or(l.TrailerBytes, DefaultTrailerBytes)
	return Limits{Head: n, Line: n, Fields: cmp.Or(l.Trailers, DefaultTrailers)}
}

// MaxInterim is how many 1xx answers a request may get.
func (l *Limits) MaxInterim() int { return cmp.Or(l.Interim, DefaultInterim) }

func (l *Limits) or() Limits {
	var out Limits
	if l != nil {
		out = *l
	}
	if out.Head <= 0 {
		out.Head = DefaultHead
	}
	if out.Line <= 0 {
		out.Line = DefaultLine
	}
	if out.Fields <= 0 {
		out.Fields = DefaultFields
	}
	return out
}

// lines finds the lines of a head while its bytes arrive. It keeps offsets, not
// slices, so the buffer may move between calls, and never looks at a byte twice.
type lines struct {
	starts int   // how many lines come before the fields: 1, or 0 for trailers
	scan   int   // bytes searched already
	first  int   // where the first line begins: after a tolerated CRLF
	ends   []int // the offset after each line that was found
}

func (l *lines) reset(starts int) {
	l.starts, l.scan, l.first, l.ends = starts, 0, 0, l.ends[:0]
}

// begin returns where line i begins.
func (l *lines) begin(i int) int {
	if i == 0 {
		return l.first
	}
	return l.ends[i-1]
}

// line returns line i without its CRLF.
func (l *lines) line(b []byte, i int) []byte { return b[l.begin(i) : l.ends[i]-2] }

// find looks for the empty line that ends the head and returns the offset after
// it, or 0 when b does not hold it yet. Which refusal is given depends only on
// the bytes, not on how they were split: the first byte that makes the head
// impossible decides.
func (l *lines) find(b []byte, lim *Limits) (int, error) {
	limits := lim.or()
	for {
		begin := l.begin(len(l.ends))
		bound := min(begin+limits.Line, limits.Head)
		i := -1
		if l.scan < bound {
			i = bytes.IndexByte(b[l.scan:min(len(b), bound)], '\n')
		}
		if i < 0 {
			if len(b) >= bound {
				return 0, l.tooLong(begin+limits.Line <= limits.Head)
			}
			l.scan = len(b)
			return 0, nil
		}
		i += l.scan
		l.scan = i + 1
		if i == begin || b[i-1] != '\r' {
			return 0, Error{Kind: ErrBareLF}
		}
		if i == begin+1 { // an empty line
			if len(l.ends) >= l.starts {
				return i + 1, nil
			}
			if begin > 0 {
				return 0, Error{Kind: ErrBadStartLine}
			}
			l.first = i + 1
			continue
		}
		if len(l.ends) == l.starts+limits.Fields {
			return 0, Error{Kind: ErrTooManyFields}
		}
		l.ends = append(l.ends, i+1)
	}
}

// tooLong says which limit was passed by the line that is being read.
func (l *lines) tooLong(byLine bool) error {
	switch {
	case !byLine:
		return Error{Kind: ErrHeadTooLarge}
	case len(l.ends) < l.starts:
		return Error{Kind: ErrLineTooLong}
	}
	return Error{Kind: ErrFieldTooLong}
}
