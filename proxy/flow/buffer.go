package flow

import (
	"sync"
	"sync/atomic"

	"github.com/leno-mesh/leno/proxy/mux"
)

// Buffer sizes in bytes. A connection has none while it waits; what comes is read
// into a small one, which grows while there is much.
const (
	SmallBuffer = 4 << 10
	LargeBuffer = 16 << 10
	// MaxHead is the largest head that is read: the limit of a connection's
	// read buffer.
	MaxHead = 64 << 10
	// pipeBuffer is what is read at once of bytes that are not looked at.
	pipeBuffer = 64 << 10
	// pipeRead is what goes into one: whole turns of a stream, so that no rest
	// is sent by itself.
	pipeRead = pipeBuffer / mux.Turn * mux.Turn
)

// Buffers lends byte slices of the common sizes. The zero value is ready;
// it is safe for concurrent use.
type Buffers struct {
	// Wide bounds what all connections together have beyond their small
	// buffers, in bytes; 0 means no bound.
	Wide int64

	wide  atomic.Int64
	kept  atomic.Int64
	small sync.Pool // *[SmallBuffer]byte
	large sync.Pool // *[LargeBuffer]byte
	pipe  sync.Pool // *[pipeBuffer]byte
}

// keptShare is the part of Wide that is for bodies which are kept for another try, and
// for nothing else: slow heads and bodies must not keep requests from being tried again.
const keptShare = 4

// Used is how many bytes of Wide are in use.
func (p *Buffers) Used() int64 { return p.wide.Load() + p.kept.Load() }

// widen takes n bytes of Wide, if they are there.
func (p *Buffers) widen(n int) bool { return take(&p.wide, n, p.Wide-p.Wide/keptShare) }

// keep takes n bytes of Wide for a body that is kept, if they are there.
func (p *Buffers) keep(n int) bool { return take(&p.kept, n, p.Wide/keptShare) }

// drop gives n bytes back that keep took.
func (p *Buffers) drop(n int) { p.kept.Add(-int64(n)) }

func take(from *atomic.Int64, n int, most int64) bool {
	if now := from.Add(int64(n)); most > 0 && now > most {
		from.Add(-int64(n))
		return false
	}
	return true
}

// charge counts n bytes that were taken already.
func (p *Buffers) charge(n int) { p.wide.Add(int64(n)) }

// narrow gives n bytes back.
func (p *Buffers) narrow(n int) { p.wide.Add(-int64(n)) }

// loan is the buffer of one direction of an opaque connection, taken when there
// is something to read, and a small one when memory is short.
type loan struct {
	pool *Buffers
	b    []byte
}

// Lend is part of socket.Lender.
func (l *loan) Lend() []byte {
	if !l.pool.widen(pipeBuffer - SmallBuffer) {
		l.b = l.pool.Get(SmallBuffer)
		return l.b
	}
	l.b = l.pool.Get(pipeBuffer)
	return l.b[:pipeRead]
}

// Back is part of socket.Lender. It may be called where nothing is lent.
func (l *loan) Back() {
	if l.b == nil {
		return
	}
	if len(l.b) == pipeBuffer {
		l.pool.narrow(pipeBuffer - SmallBuffer)
	}
	l.pool.Put(l.b)
	l.b = nil
}

// Get lends a slice of at least n bytes, its length its capacity.
func (p *Buffers) Get(n int) []byte {
	switch {
	case n <= SmallBuffer:
		if b, ok := p.small.Get().(*[SmallBuffer]byte); ok {
			return b[:]
		}
		return make([]byte, SmallBuffer)
	case n <= LargeBuffer:
		if b, ok := p.large.Get().(*[LargeBuffer]byte); ok {
			return b[:]
		}
		return make([]byte, LargeBuffer)
	case n == pipeBuffer:
		if b, ok := p.pipe.Get().(*[pipeBuffer]byte); ok {
			return b[:]
		}
	}
	return make([]byte, n)
}

// Put takes a slice back. Slices of other sizes are left to the collector. The
// pools hold arrays, since a slice would cost an allocation each time.
func (p *Buffers) Put(b []byte) {
	b = b[:cap(b)]
	spoil(b)
	switch cap(b) {
	case SmallBuffer:
		p.small.Put((*[SmallBuffer]byte)(b))
	case LargeBuffer:
		p.large.Put((*[LargeBuffer]byte)(b))
	case pipeBuffer:
		p.pipe.Put((*[pipeBuffer]byte)(b))
	}
}
