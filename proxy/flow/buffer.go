package flow

import "sync"

// Buffer sizes in bytes. A connection starts with the small one, which is
// what an idle connection keeps, and grows while it is busy.
const (
	SmallBuffer = 4 << 10
	LargeBuffer = 16 << 10
	// MaxHead is the largest head that is read: the limit of a connection's
	// read buffer.
	MaxHead = 64 << 10
)

// Buffers lends byte slices of the two common sizes. The zero value is ready;
// it is safe for concurrent use.
type Buffers struct {
	small, large sync.Pool
}

// Get lends a slice of at least n bytes, its length its capacity.
func (p *Buffers) Get(n int) []byte {
	pool, size := p.pool(n)
	if pool == nil {
		return make([]byte, n)
	}
	if b, ok := pool.Get().(*[]byte); ok {
		return *b
	}
	return make([]byte, size)
}

// Put takes a slice back. Slices of other sizes are left to the collector.
func (p *Buffers) Put(b []byte) {
	b = b[:cap(b)]
	switch cap(b) {
	case SmallBuffer:
		p.small.Put(&b)
	case LargeBuffer:
		p.large.Put(&b)
	}
}

func (p *Buffers) pool(n int) (*sync.Pool, int) {
	switch {
	case n <= SmallBuffer:
		return &p.small, SmallBuffer
	case n <= LargeBuffer:
		return &p.large, LargeBuffer
	default:
		return nil, n
	}
}
