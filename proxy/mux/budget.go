package mux

import (
	"math"
	"sync"
	"sync/atomic"
)

// Budget is the memory that the links of a proxy share: a total for what they
// have received and nobody took yet, and the pools of what they reuse. It is
// safe for concurrent use.
type Budget struct {
	// MaxServed bounds the streams that are being served on all links; 0 means
	// no bound.
	MaxServed int

	whole *Budget // of which this is a part (see Part); nil: of none

	limit  int64
	used   atomic.Int64
	peak   atomic.Int64
	served atomic.Int64

	streams sync.Pool // *Stream
	small   sync.Pool // *chunk of smallChunk bytes
	large   sync.Pool // *chunk of largeChunk bytes
	wide    sync.Pool // *chunk of wideChunk bytes
	outs    sync.Pool // *outBuffer
	reads   sync.Pool // *[readBuffer]byte
	sealeds sync.Pool // *[sealedBuffer]byte
}

// NewBudget returns a Budget of limit bytes.
func NewBudget(limit int64) *Budget { return &Budget{limit: limit} }

// Limit is the total in bytes.
func (b *Budget) Limit() int64 { return b.limit }

// Used is the number of bytes in buffers of received data, plus what was
// promised to peers by windows that grew.
func (b *Budget) Used() int64 { return b.used.Load() }

// Peak is the largest value that Used had.
func (b *Budget) Peak() int64 { return b.peak.Load() }

func (b *Budget) take(n int) {
	if b.whole != nil {
		b.whole.take(n)
	}
	now := b.used.Add(int64(n))
	for {
		peak := b.peak.Load()
		if now <= peak || b.peak.CompareAndSwap(peak, now) {
			return
		}
	}
}

func (b *Budget) give(n int) {
	for ; b != nil; b = b.whole {
		b.used.Add(-int64(n))
	}
}

// grow takes n bytes for a larger window when that leaves half of the total.
func (b *Budget) grow(n int) bool {
	for p := b; p != nil; p = p.whole {
		if p.used.Load()+int64(n) > p.limit/2 {
			return false
		}
	}
	b.take(n)
	return true
}

func (b *Budget) over() bool {
	return b != nil && (b.used.Load() > b.limit || b.whole.over())
}

// short says that little is left: streams that hold much give way before new
// ones are refused.
func (b *Budget) short() bool {
	return b != nil && (b.used.Load() > b.limit-b.limit/8 || b.whole.short())
}

// Served is the number of streams that are being served.
func (b *Budget) Served() int { return int(b.served.Load()) }

func (b *Budget) crowded() bool {
	return b != nil && (b.MaxServed > 0 && int(b.served.Load()) >= b.MaxServed || b.whole.crowded())
}

// free is how many streams more may be served.
func (b *Budget) free() int {
	n := math.MaxInt32
	for ; b != nil; b = b.whole {
		if b.MaxServed > 0 {
			n = min(n, b.MaxServed-int(b.served.Load()))
		}
	}
	return n
}

// Share is what all links of one peer may have of a proxy together. It is safe
// for concurrent use.
type Share struct {
	// Max bounds the streams of the peer that are being served.
	Max int
	// PerFree, if it is not 0, is how many of them there may be for each stream more
	// that all may have: the fewer are left, the less one may have that has many.
	PerFree int

	served atomic.Int64
}

// full says whether the peer has all that it may have of b.
func (s *Share) full(b *Budget) bool {
	if s == nil {
		return false
	}
	has := int(s.served.Load())
	return has >= s.Max || s.PerFree > 0 && has >= s.PerFree*b.free()
}

func (s *Share) add(n int64) {
	if s != nil {
		s.served.Add(n)
	}
}

// Sizes of buffers in bytes.
const (
	inlineChunk = 1 << 10  // comes with every Stream, for small bodies
	smallChunk  = 4 << 10  // the first of a larger body
	largeChunk  = 16 << 10 // the others
	wideChunk   = 64 << 10 // of a stream whose window has grown to bulkWindow
	bulkWindow  = 256 << 10
	readBuffer  = 16<<10 + http2MinBuffer
	idleBuffer  = 1 << 10 // of a link without streams
	keepOut     = 96 << 10
	tlsRecord   = 16 << 10 // most of what one record carries

	// sealedBuffer holds the records of one write: keepOut bytes, and 22 more
	// for each record.
	sealedBuffer = keepOut + 4<<10

	http2MinBuffer = 512
)

// chunk is a piece of received data: buf[r:w] is unread.
type chunk struct {
	next *chunk
	r, w int
	buf  []byte
}

func (b *Budget) chunk(size int) *chunk {
	b.take(size)
	if c, ok := b.chunks(size).Get().(*chunk); ok {
		return c
	}
	return &chunk{buf: make([]byte, size)}
}

func (b *Budget) chunks(size int) *sync.Pool {
	switch size {
	case smallChunk:
		return &b.small
	case largeChunk:
		return &b.large
	default:
		return &b.wide
	}
}

func (b *Budget) freeChunk(c *chunk) {
	b.give(len(c.buf))
	c.next, c.r, c.w = nil, 0, 0
	b.chunks(len(c.buf)).Put(c)
}

// outBuffer is what waits to be written.
type outBuffer struct{ b []byte }

func (b *Budget) outBuffer() *outBuffer {
	if o, ok := b.outs.Get().(*outBuffer); ok {
		return o
	}
	return &outBuffer{b: make([]byte, 0, 4<<10)}
}

func (b *Budget) freeOut(o *outBuffer) {
	if cap(o.b) > keepOut {
		return
	}
	o.b = o.b[:0]
	b.outs.Put(o)
}

func (b *Budget) readBuffer() *[readBuffer]byte {
	if p, ok := b.reads.Get().(*[readBuffer]byte); ok {
		return p
	}
	return new([readBuffer]byte)
}

func (b *Budget) sealed() *[sealedBuffer]byte {
	b.take(sealedBuffer)
	if p, ok := b.sealeds.Get().(*[sealedBuffer]byte); ok {
		return p
	}
	return new([sealedBuffer]byte)
}

func (b *Budget) freeSealed(p *[sealedBuffer]byte) {
	b.give(sealedBuffer)
	b.sealeds.Put(p)
}

// recvQueue is what a stream received and nobody took, in order. The first
// chunk is the inline one whenever that is free, which costs nothing.
type recvQueue struct {
	first, last *chunk
	size        int // unread bytes
	inline      chunk
	inlineUsed  bool
}

// add puts p behind what is there. Bulk says that it is a part of much.
func (q *recvQueue) add(b *Budget, p []byte, bulk bool) {
	q.size += len(p)
	for len(p) > 0 {
		if q.last == nil || q.last.w == len(q.last.buf) {
			q.push(q.room(b, len(p), bulk))
		}
		n := copy(q.last.buf[q.last.w:], p)
		q.last.w += n
		p = p[n:]
	}
}

func (q *recvQueue) room(b *Budget, n int, bulk bool) *chunk {
	switch {
	case !q.inlineUsed && q.first == nil && n <= inlineChunk:
		if q.inline.buf == nil {
			q.inline.buf = make([]byte, inlineChunk)
		}
		q.inlineUsed = true
		return &q.inline
	case bulk:
		return b.chunk(wideChunk)
	case q.size <= smallChunk:
		return b.chunk(smallChunk)
	default:
		return b.chunk(largeChunk)
	}
}

func (q *recvQueue) push(c *chunk) {
	if q.last == nil {
		q.first = c
	} else {
		q.last.next = c
	}
	q.last = c
}

// peek gives the unread bytes of the first chunk.
func (q *recvQueue) peek() []byte {
	if q.first == nil {
		return nil
	}
	return q.first.buf[q.first.r:q.first.w]
}

// drop forgets the first n bytes of peek.
func (q *recvQueue) drop(b *Budget, n int) {
	c := q.first
	c.r += n
	q.size -= n
	if c.r < c.w {
		return
	}
	if q.first = c.next; q.first == nil {
		q.last = nil
	}
	q.free(b, c)
}

func (q *recvQueue) free(b *Budget, c *chunk) {
	if c == &q.inline {
		c.next, c.r, c.w = nil, 0, 0
		q.inlineUsed = false
		return
	}
	b.freeChunk(c)
}

func (q *recvQueue) reset(b *Budget) {
	for c := q.first; c != nil; {
		next := c.next
		q.free(b, c)
		c = next
	}
	q.first, q.last, q.size = nil, nil, 0
}
