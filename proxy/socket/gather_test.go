package socket_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/leno-mesh/leno/proxy/socket"
)

// writes keeps what each call wrote; it takes room bytes and then fails.
type writes struct {
	net.Conn
	calls [][]byte
	room  int
}

func (w *writes) Write(p []byte) (int, error) {
	n := min(len(p), w.room)
	w.room -= n
	w.calls = append(w.calls, bytes.Clone(p[:n]))
	if n < len(p) {
		return n, syscall.EPIPE
	}
	return n, nil
}

func TestGather(t *testing.T) {
	for _, tt := range []struct {
		name   string
		room   int
		writes []string // between Hold and Release, with a buffer of 8 bytes
		calls  []string
		sent   int
		fails  bool
	}{
		{"together", 100, []string{"abc", "def"}, []string{"abcdef"}, 6, false},
		{"just full", 100, []string{"abcd", "efgh"}, []string{"abcdefgh"}, 8, false},
		{"more than fits", 100, []string{"abcde", "fghi", "j"}, []string{"abcde", "fghij"}, 10, false},
		{"larger than the buffer", 100, []string{"ab", "cdefghijkl", "m"}, []string{"ab", "cdefghijkl", "m"}, 13, false},
		{"nothing", 100, nil, nil, 0, false},
		{"a part", 4, []string{"abc", "def"}, []string{"abcd"}, 4, true},
		{"a part before the end", 6, []string{"abcde", "fghi"}, []string{"abcde", "f"}, 6, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			below := &writes{room: tt.room}
			g := socket.NewGather(below)
			g.Hold(make([]byte, 8))
			for _, p := range tt.writes {
				if n, err := g.Write([]byte(p)); n != len(p) || err != nil {
					t.Fatalf("%q: %d, %v", p, n, err)
				}
			}
			sent, err := g.Release()
			if sent != tt.sent || (err != nil) != tt.fails {
				t.Errorf("%d bytes sent, %v; want %d, failed %v", sent, err, tt.sent, tt.fails)
			}
			var calls []string
			for _, c := range below.calls {
				calls = append(calls, string(c))
			}
			if !slices.Equal(calls, tt.calls) {
				t.Errorf("calls %q, want %q", calls, tt.calls)
			}
			if tt.fails {
				return
			}
			if n, err := g.Write([]byte("later")); n != 5 || err != nil || string(below.calls[len(below.calls)-1]) != "later" {
				t.Errorf("after Release: %d, %v, calls %q", n, err, below.calls)
			}
		})
	}
}

// lender counts what is lent.
type lender struct {
	lent atomic.Int32
	back chan struct{}
}

func (l *lender) Lend() []byte {
	l.lent.Add(1)
	return make([]byte, 16)
}

func (l *lender) Back() {
	l.lent.Add(-1)
	l.back <- struct{}{}
}

// TestWaitingHoldsNothing reads where nothing has come yet: the buffer goes
// back until something has.
func TestWaitingHoldsNothing(t *testing.T) {
	conn, peer := pair(t)
	c := conn.(*socket.Conn)
	l := &lender{back: make(chan struct{})}
	type result struct {
		p   []byte
		err error
	}
	read := make(chan result)
	go func() {
		p, err := c.ReadLent(l)
		read <- result{p, err}
	}()
	<-l.back
	if n := l.lent.Load(); n != 0 {
		t.Errorf("%d buffers are lent while nothing has come", n)
	}
	_, _ = peer.Write([]byte("hello"))
	got := <-read
	if string(got.p) != "hello" || got.err != nil || l.lent.Load() != 1 {
		t.Errorf("%q, %v with %d buffers lent; want hello in one", got.p, got.err, l.lent.Load())
	}
	_ = peer.Close()
	arrived(t, c)
	if p, err := c.ReadLent(l); len(p) != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %q, %v", p, err)
	}
}
