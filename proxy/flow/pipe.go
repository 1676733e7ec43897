package flow

import (
	"errors"
	"io"
	"sync/atomic"

	"github.com/leno-mesh/leno/proxy/socket"
)

// Duplex is one end of an opaque connection: a client's, an application's, or
// a stream of a link. One goroutine reads and one writes; Abort may come from
// any.
type Duplex interface {
	io.Reader // io.EOF is a FIN; any other error is an abort
	io.Writer
	CloseWrite() error
	// Abort ends both directions so that the other end sees a reset.
	Abort(r Reason)
	Close() error
}

// Counts are the bytes that a pipe moved.
type Counts struct {
	Up, Down atomic.Uint64 // from a to b, and from b to a
}

// Pipe joins two ends until both directions have ended or one failed. Each
// direction ends on its own (half-close); a failure of either aborts both
// ends, since a cut stream must not look like a complete one. It takes the
// ends over: they are closed when it returns.
func Pipe(a, b Duplex, pool *Buffers, n *Counts) error {
	back := make(chan error, 1)
	go func() { back <- PipeOne(a, b, b, pool, &n.Down) }()
	err := PipeOne(b, a, a, pool, &n.Up)
	if e := <-back; err == nil {
		err = e
	}
	_ = a.Close()
	_ = b.Close()
	return err
}

// PipeOne copies from r, which reads what the end from sends, to the end to,
// and half-closes to at the end. On failure both are aborted.
func PipeOne(to, from Duplex, r io.Reader, pool *Buffers, n *atomic.Uint64) error {
	err := copyCounted(to, r, pool, n)
	if err == nil {
		err = to.CloseWrite()
	}
	if err != nil {
		to.Abort(PeerReset)
		from.Abort(PeerReset)
	}
	return err
}

func copyCounted(to io.Writer, r io.Reader, pool *Buffers, n *atomic.Uint64) error {
	if k, err, ok := splice(to, r); ok {
		n.Add(uint64(k)) // never negative
		return err
	}
	buf, done := pool.pipe()
	defer done()
	for {
		k, err := r.Read(buf)
		if k > 0 {
			n.Add(uint64(k))
			if _, werr := to.Write(buf[:k]); werr != nil {
				return werr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// splice lets the kernel join two plain TCP connections without copying
// through this process, once nothing is buffered here.
func splice(to io.Writer, r io.Reader) (n int64, err error, ok bool) { //nolint:revive // the flag comes last
	t, ok1 := to.(ConnDuplex)
	f, ok2 := r.(ConnDuplex)
	if !ok1 || !ok2 {
		return 0, nil, false
	}
	tc, ok1 := socket.TCP(t.Conn.Conn)
	fc, ok2 := socket.TCP(f.Conn.Conn)
	if !ok1 || !ok2 {
		return 0, nil, false
	}
	if b := f.Bytes(); len(b) > 0 {
		k, err := tc.Write(b)
		f.Consume(k)
		if n = int64(k); err != nil {
			return n, err, true
		}
	}
	if f.end != nil {
		if errors.Is(f.end, io.EOF) {
			return n, nil, true
		}
		return n, f.end, true
	}
	k, err := tc.ReadFrom(fc)
	return n + k, err, true
}

// ConnDuplex makes a Duplex of a connection; what is in its read buffer comes
// first. Reading and writing go past the buffers afterwards.
type ConnDuplex struct{ *Conn }

// Read gives the buffered bytes first.
func (d ConnDuplex) Read(p []byte) (int, error) {
	if b := d.Bytes(); len(b) > 0 {
		n := copy(p, b)
		d.Consume(n)
		d.dropIn()
		return n, nil
	}
	if d.end != nil {
		return 0, d.end // the kernel tells a reset only once
	}
	return d.Conn.Conn.Read(p)
}

// Write writes at once.
func (d ConnDuplex) Write(p []byte) (int, error) { return d.Conn.Conn.Write(p) }

// Abort is part of Duplex.
func (d ConnDuplex) Abort(Reason) { d.Conn.Abort() }
