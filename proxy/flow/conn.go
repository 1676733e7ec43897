package flow

import (
	"cmp"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/proxy/socket"
)

// ErrBufferFull says that a connection's buffer is at its limit and what is
// in it is still not enough.
var ErrBufferFull = errors.New("read buffer is full")

// ErrNoRoom says that a buffer may not grow, because the proxy's buffers hold
// as much as they may in all.
var ErrNoRoom = errors.New("the proxy's buffers are full")

// Conn is a connection with a read buffer, from which codecs parse in place,
// and a write buffer, which gathers a message's parts into one system call.
// One goroutine reads and one writes at a time.
type Conn struct {
	net.Conn
	plain *socket.Conn // what Conn is, or nil
	pool  *Buffers
	in    []byte // in[r:w] is what was read and not consumed
	r, w  int
	size  int // of the buffer that the next bytes are read into, as it should be
	out   []byte
	full  bool  // the last read filled all there was room for
	large bool  // a large buffer was read into since Shrink
	end   error // of reading, if it was not a deadline: it is told again
	// BytesIn and BytesOut count what went through the buffers.
	BytesIn, BytesOut uint64
	// Seat is told when the other end is waited for; nil where nobody counts.
	Seat *Seat
	// HeadTime is how long the other end may take for a head; 0 means that
	// whoever reads it has a default.
	HeadTime time.Duration
	// LingerTime bounds Linger; 0 means LingerTime.
	LingerTime time.Duration
	// begun is when the beginning of a message was first there that is still not
	// whole, or zero.
	begun time.Time
	// wide is the bytes of buffers beyond the small ones, as the pool counts
	// them. Close may come from any goroutine.
	wide atomic.Int64
}

// NewConn wraps c. The buffers come from pool and go back with Free.
func NewConn(c net.Conn, pool *Buffers) *Conn {
	plain, _ := c.(*socket.Conn)
	return &Conn{Conn: c, plain: plain, pool: pool, size: SmallBuffer}
}

// Bytes gives what was read and not consumed. It stays valid until the next
// Fill, or Shrink: then others may have the buffer.
func (c *Conn) Bytes() []byte { return c.in[c.r:c.w] }

// Begins says that Bytes is a beginning that is not whole yet, and gives since
// when.
func (c *Conn) Begins() time.Time {
	if c.begun.IsZero() {
		c.begun = time.Now()
	}
	return c.begun
}

// Begun ends what Begins said: it is whole.
func (c *Conn) Begun() { c.begun = time.Time{} }

// Consume drops the first n of Bytes.
func (c *Conn) Consume(n int) {
	c.r += n
	if c.r == c.w {
		c.r, c.w = 0, 0
	}
}

// Fill reads once and appends to Bytes. When the buffer is full it grows, up
// to MaxHead; then it gives ErrBufferFull. It gives ErrNoRoom when the proxy has
// no memory left for it to grow. Growing moves the bytes. Where nothing is left in
// the buffer it is given back until something has come.
func (c *Conn) Fill() error {
	if c.end != nil {
		return c.end
	}
	n, err := c.fill()
	c.w += n
	c.BytesIn += uint64(n)
	if err != nil && !isTimeout(err) && !errors.Is(err, ErrNoRoom) && !errors.Is(err, ErrBufferFull) {
		c.end = err
	}
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

func (c *Conn) fill() (int, error) {
	if c.plain != nil && c.r == c.w {
		c.dropIn()
		c.Seat.Reads()
		p, err := c.plain.ReadLent((*lentIn)(c))
		c.Seat.Read(len(p))
		c.full = len(p) > 0 && len(p) == min(len(c.in), pipeRead)
		if len(p) == 0 {
			c.dropIn()
		}
		return len(p), err
	}
	if c.in == nil {
		c.in = c.pool.Get(SmallBuffer)
	}
	if c.w == len(c.in) {
		if err := c.makeRoom(); err != nil {
			return 0, err
		}
	}
	room := c.in[c.w:]
	if len(room) == pipeBuffer {
		room = room[:pipeRead]
	}
	c.Seat.Reads()
	n, err := c.Conn.Read(room)
	c.Seat.Read(n)
	c.full = n == len(room)
	return n, err
}

// lentIn is a Conn as its own lender.
type lentIn Conn

// Lend is part of socket.Lender.
func (l *lentIn) Lend() []byte {
	c := (*Conn)(l)
	size := c.size
	if more := size - SmallBuffer; more > 0 {
		if !c.pool.widen(more) {
			size, more = SmallBuffer, 0
		}
		c.wide.Add(int64(more))
	}
	c.large = c.large || size > SmallBuffer
	c.in = c.pool.Get(size)
	return c.in[:min(size, pipeRead)]
}

// Back is part of socket.Lender.
func (l *lentIn) Back() { (*Conn)(l).dropIn() }

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

func (c *Conn) makeRoom() error {
	if c.r > 0 {
		c.w = copy(c.in, c.in[c.r:c.w])
		c.r = 0
		return nil
	}
	if len(c.in) >= MaxHead {
		return ErrBufferFull
	}
	size := min(len(c.in)*4, MaxHead)
	if !c.pool.widen(size - len(c.in)) {
		return ErrNoRoom
	}
	c.wide.Add(int64(size - len(c.in)))
	c.large = true
	bigger := c.pool.Get(size)
	copy(bigger, c.in)
	c.pool.Put(c.in)
	c.in = bigger
	return nil
}

// Roomy makes the buffer large, for a body that follows, and larger when that was
// filled at once, unless memory is short. What is in it moves.
func (c *Conn) Roomy() {
	size := LargeBuffer
	if c.full && len(c.in) >= LargeBuffer || c.size == pipeBuffer {
		size = pipeBuffer
	}
	c.size = size
	if c.plain != nil && c.r == c.w {
		return // the next bytes get one of that size
	}
	if grow := size - max(len(c.in), SmallBuffer); grow > 0 && c.pool.widen(grow) {
		c.wide.Add(int64(grow))
		c.large = true
		bigger := c.pool.Get(size)
		c.w = copy(bigger, c.in[c.r:c.w])
		c.r = 0
		if c.in != nil {
			c.pool.Put(c.in)
		}
		c.in = bigger
	}
}

// Shrink gives the buffers of an idle connection back, when nothing waits in
// them, and goes back to small ones. It says whether any was large: whatever is a
// view of it keeps it alive and must be forgotten.
func (c *Conn) Shrink() (large bool) {
	large, c.large = c.large, false
	c.size = SmallBuffer
	c.dropIn()
	c.dropOut()
	return large
}

// dropIn gives the read buffer back if it is empty.
func (c *Conn) dropIn() {
	if c.in == nil || c.r < c.w {
		return
	}
	c.narrow(len(c.in) - SmallBuffer)
	c.pool.Put(c.in)
	c.in, c.r, c.w = nil, 0, 0
}

// dropOut gives the write buffer back if it is empty.
func (c *Conn) dropOut() {
	if c.out == nil || len(c.out) > 0 {
		return
	}
	c.narrow(cap(c.out) - SmallBuffer)
	c.pool.Put(c.out)
	c.out = nil
}

// Out gives the write buffer to append to; give the result to SetOut.
func (c *Conn) Out() []byte {
	if c.out == nil {
		c.out = c.pool.Get(SmallBuffer)[:0]
	}
	return c.out
}

// narrow gives back n bytes of what the pool counts, once.
func (c *Conn) narrow(n int) {
	for {
		was := c.wide.Load()
		k := min(was, int64(n))
		if c.wide.CompareAndSwap(was, was-k) {
			c.pool.narrow(int(k))
			return
		}
	}
}

// SetOut keeps what was appended to Out.
func (c *Conn) SetOut(b []byte) {
	if grown := cap(b) - cap(c.out); grown > 0 && c.out != nil {
		c.wide.Add(int64(grown))
		c.pool.charge(grown)
	}
	c.out = b
}

// Pending is the number of bytes waiting in the write buffer.
func (c *Conn) Pending() int { return len(c.out) }

// Flush writes the write buffer out.
func (c *Conn) Flush() error {
	if len(c.out) == 0 {
		return nil
	}
	err := c.write(c.out)
	c.out = c.out[:0]
	c.dropOut()
	return err
}

func (c *Conn) write(p []byte) error {
	c.Seat.Writes()
	n, err := c.Conn.Write(p)
	c.Seat.Wrote(n)
	c.BytesOut += uint64(n)
	return err
}

// Add puts p after what is pending: into the write buffer when p is small,
// written at once when copying would cost more than a system call.
func (c *Conn) Add(p []byte) error {
	if len(c.out)+len(p) <= LargeBuffer {
		c.SetOut(append(c.Out(), p...))
		return nil
	}
	if err := c.Flush(); err != nil {
		return err
	}
	return c.write(p)
}

// CloseWrite ends this side's direction and leaves the other open, where the
// transport can (TCP and TLS).
func (c *Conn) CloseWrite() error {
	if h, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return c.Conn.Close()
}

// Abort closes with a reset where the transport can, so that the other side
// does not take a cut stream for a complete one.
func (c *Conn) Abort() {
	if a, ok := c.Conn.(interface{ Abort(r Reason) }); ok {
		a.Abort(PeerReset)
		return
	}
	if t, ok := c.Conn.(interface{ SetLinger(sec int) error }); ok {
		_ = t.SetLinger(0)
	}
	_ = c.Close()
}

// Bounds of Linger.
const (
	LingerTime     = 30 * time.Second
	LingerPatience = time.Second
)

// Linger lets the other end read the last that was written: it ends our
// direction and drops what still comes, so that the kernel does not answer late
// bytes with a reset that destroys it. It goes on for as long as something comes
// within LingerPatience each time, and for LingerTime at most.
func (c *Conn) Linger() {
	if c.CloseWrite() != nil {
		return
	}
	for now, end := time.Now(), time.Now().Add(cmp.Or(c.LingerTime, LingerTime)); now.Before(end); now = time.Now() {
		_ = c.SetReadDeadline(now.Add(min(LingerPatience, end.Sub(now))))
		c.Consume(len(c.Bytes()))
		if c.Fill() != nil {
			return
		}
	}
}

// Close closes the connection. Its buffers are left to Free, or the collector.
func (c *Conn) Close() error {
	c.uncount()
	return c.Conn.Close()
}

func (c *Conn) uncount() { c.pool.narrow(int(c.wide.Swap(0))) }

// Free gives the buffers back. The Conn must not be used afterwards.
func (c *Conn) Free() {
	if c.in != nil {
		c.pool.Put(c.in)
	}
	if c.out != nil {
		c.pool.Put(c.out)
	}
	c.uncount()
	c.in, c.out, c.r, c.w = nil, nil, 0, 0
}
