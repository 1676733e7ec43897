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
	// Source gives what to read the other end's bytes from: io.EOF is a FIN, any
	// other error an abort. Done follows.
	Source(pool *Buffers) Source
	io.Writer
	CloseWrite() error
	// Abort ends both directions so that the other end sees a reset.
	Abort(r Reason)
	Close() error
}

// Source gives bytes without copying them: they are valid until the next call.
type Source interface {
	Next() ([]byte, error)
	// Done ends what Next gave last.
	Done()
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
	go func() { back <- pipeOne(a, b, pool, &n.Down) }()
	err := pipeOne(b, a, pool, &n.Up)
	if e := <-back; err == nil {
		err = e
	}
	_ = a.Close()
	_ = b.Close()
	return err
}

// pipeOne copies what the end from sends to the end to, and half-closes to at
// the end. On failure both are aborted.
func pipeOne(to, from Duplex, pool *Buffers, n *atomic.Uint64) error {
	err := copyCounted(to, from, pool, n)
	if err == nil {
		err = to.CloseWrite()
	}
	if err != nil {
		to.Abort(PeerReset)
		from.Abort(PeerReset)
	}
	return err
}

func copyCounted(to, from Duplex, pool *Buffers, n *atomic.Uint64) error {
	if k, err, ok := splice(to, from); ok {
		n.Add(uint64(k)) // never negative
		return err
	}
	source := from.Source(pool)
	defer source.Done()
	for {
		p, err := source.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		n.Add(uint64(len(p)))
		if _, err := to.Write(p); err != nil {
			return err
		}
	}
}

// splice lets the kernel join two plain TCP connections without copying
// through this process, once nothing is buffered here.
func splice(to, from Duplex) (n int64, err error, ok bool) { //nolint:revive // the flag comes last
	t, ok1 := to.(ConnDuplex)
	f, ok2 := from.(ConnDuplex)
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

// Read gives the buffered bytes first, for whoever speaks a protocol over it.
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

// Source is part of Duplex.
func (d ConnDuplex) Source(pool *Buffers) Source {
	s := &connSource{c: d.Conn, loan: loan{pool: pool}}
	s.plain, _ = d.Conn.Conn.(*socket.Conn)
	s.stream, _ = d.Conn.Conn.(*StreamConn)
	return s
}

// connSource reads a connection past its buffer, once that is empty. A plain one
// that is waited for has no buffer.
type connSource struct {
	c      *Conn
	plain  *socket.Conn
	stream *StreamConn
	loan   loan
	gave   int // of the connection's own buffer
}

// Next is part of Source.
func (s *connSource) Next() ([]byte, error) {
	s.Done()
	if b := s.c.Bytes(); len(b) > 0 {
		s.gave = len(b)
		return b, nil
	}
	if s.c.end != nil {
		return nil, s.c.end // the kernel tells a reset only once
	}
	switch {
	case s.plain != nil:
		return s.plain.ReadLent(&s.loan)
	case s.stream != nil:
		return s.stream.Next()
	}
	b := s.loan.Lend()
	n, err := s.c.Conn.Read(b)
	if n > 0 {
		return b[:n], nil
	}
	return nil, err
}

// Done is part of Source.
func (s *connSource) Done() {
	s.loan.Back()
	if s.gave > 0 {
		s.c.Consume(s.gave)
		s.gave = 0
		s.c.dropIn()
	}
}

// Write writes at once.
func (d ConnDuplex) Write(p []byte) (int, error) { return d.Conn.Conn.Write(p) }

// Abort is part of Duplex.
func (d ConnDuplex) Abort(Reason) { d.Conn.Abort() }
