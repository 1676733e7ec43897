package mux

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
)

// sealing is TLS as far as the writer can see: each record becomes 22 bytes
// longer on its way to what is below.
type sealing struct {
	net.Conn
	taken  int // by the kernel, before it fails
	writes int
}

var errFull = errors.New("full")

func (s *sealing) Write(p []byte) (int, error) { s.writes++; return len(p), nil }

func (s *sealing) Hold([]byte) {}

func (s *sealing) Release() (int, error) {
	if s.taken < 0 {
		return 0, nil
	}
	return s.taken, errFull
}

// TestWriteFailed holds what a failed write says that the peer can have: never
// less than it has, since the rest may be sent elsewhere.
func TestWriteFailed(t *testing.T) {
	const size = 3 * tlsRecord
	for _, tt := range []struct{ taken, want int }{
		{-1, size}, // it did not fail
		{0, 0},
		{tlsRecord + 22, tlsRecord + 22}, // one whole record, at most
		{3 * (tlsRecord + 22), size},
	} {
		s := &sealing{taken: tt.taken}
		l := &Conn{conn: s, below: s, mem: NewBudget(1 << 20)}
		n, err := l.write(make([]byte, size))
		if n != tt.want || (err != nil) != (tt.taken >= 0) {
			t.Errorf("taken %d: %d, %v; want %d", tt.taken, n, err, tt.want)
		}
		if used := l.mem.Used(); used != 0 {
			t.Errorf("taken %d: %d bytes are still counted", tt.taken, used)
		}
	}
}

// TestWriteOfManyTurns has a write that is longer than a turn go out at once, also
// when nothing else is said on the connection.
func TestWriteOfManyTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const large = 2*Turn + 1
		taken, done := make(chan *Stream), make(chan struct{})
		defer close(done)
		p := overPipe(t, Config{}, Config{}, func(s *Stream) {
			taken <- s
			<-done
		})
		s := open(t, p.client, false)
		defer s.Release()
		theirs := <-taken
		synctest.Wait() // the writer has nothing left to do
		if n, err := s.Write(make([]byte, large)); n != large || err != nil {
			t.Fatal(n, err)
		}
		synctest.Wait()
		theirs.mu.Lock()
		defer theirs.mu.Unlock()
		if theirs.in.size != large {
			t.Errorf("%d bytes came of %d", theirs.in.size, large)
		}
	})
}
