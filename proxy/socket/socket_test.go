package socket_test

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leno-mesh/leno/proxy/socket"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair gives a Conn and the plain connection at its other end.
func pair(t testing.TB) (c, peer net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = peer.Close(); _ = accepted.Close() })
	return socket.New(accepted), peer
}

// TestBytes carries more than any buffer of the kernel holds, both ways at
// once, through a reader that takes odd amounts.
func TestBytes(t *testing.T) {
	c, peer := pair(t)
	sent := make([]byte, 8<<20)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(sent)
	var echoed bytes.Buffer
	done := make(chan error, 2)
	go func() {
		_, err := io.CopyBuffer(struct{ io.Writer }{c}, struct{ io.Reader }{c}, make([]byte, 100_003))
		done <- errors.Join(err, c.(*socket.Conn).CloseWrite())
	}()
	go func() {
		_, err := peer.Write(sent)
		done <- errors.Join(err, peer.(*net.TCPConn).CloseWrite())
	}()
	if _, err := io.Copy(&echoed, peer); err != nil {
		t.Error(err)
	}
	for range 2 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if !bytes.Equal(echoed.Bytes(), sent) {
		t.Error("the bytes that came back are not those that were sent")
	}
}

// TestErrors has each end of a connection come to a reader and a writer as it
// does with the standard library.
func TestErrors(t *testing.T) {
	read := func(c net.Conn) error { _, err := c.Read(make([]byte, 1)); return err }
	// write goes on until the kernel takes no more, so that it waits.
	write := func(c net.Conn) error {
		for {
			if _, err := c.Write(make([]byte, 1<<20)); err != nil {
				return err
			}
		}
	}
	past := time.Unix(1, 0)
	for _, tt := range []struct {
		name string
		do   func(c, peer net.Conn)
		call func(net.Conn) error
		want error
	}{
		{"end", func(_, peer net.Conn) { _ = peer.Close() }, read, io.EOF},
		{"reset, reading", func(_, peer net.Conn) { reset(peer) }, read, syscall.ECONNRESET},
		{"deadline, reading", func(c, _ net.Conn) { _ = c.SetDeadline(past) }, read, os.ErrDeadlineExceeded},
		{"deadline, writing", func(c, _ net.Conn) { _ = c.SetDeadline(past) }, write, os.ErrDeadlineExceeded},
		{"closed, reading", func(c, _ net.Conn) { _ = c.Close() }, read, net.ErrClosed},
		{"closed, writing", func(c, _ net.Conn) { _ = c.Close() }, write, net.ErrClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, peer := pair(t)
			tt.do(c, peer)
			err := tt.call(c)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if e := (*net.OpError)(nil); tt.want != io.EOF && (!errors.As(err, &e) || e.Net != "tcp" || e.Addr == nil) {
				t.Errorf("%#v does not say which connection failed", err)
			}
		})
	}
}

// TestWriteAfterReset finds the error of a writer that a reset reached: either
// of the two, and with how much was taken.
func TestWriteAfterReset(t *testing.T) {
	c, peer := pair(t)
	reset(peer)
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("got %v, want a reset", err)
	}
	n, err := c.Write([]byte("late"))
	if n != 0 || !errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %d, %v; want 0 and a broken pipe", n, err)
	}
}

// TestPartOfAWrite says how much went before the deadline came.
func TestPartOfAWrite(t *testing.T) {
	c, peer := pair(t)
	big := make([]byte, 64<<20)
	done := make(chan int)
	go func() {
		n, err := c.Write(big)
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want a deadline", err)
		}
		done <- n
	}()
	if _, err := io.ReadFull(peer, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	_ = c.SetWriteDeadline(time.Unix(1, 0))
	n := <-done
	_ = c.Close()
	rest, err := io.Copy(io.Discard, peer)
	if err != nil || int(rest)+1<<20 != n {
		t.Errorf("%d bytes were said to be written, %d arrived (%v)", n, int(rest)+1<<20, err)
	}
}

func TestQuiet(t *testing.T) {
	conn, peer := pair(t)
	c := conn.(*socket.Conn)
	if !c.Quiet() {
		t.Error("nothing was sent, and it is not quiet")
	}
	_, _ = peer.Write([]byte("x"))
	arrived(t, c)
	if c.Quiet() {
		t.Error("quiet with a byte to read")
	}
	if n, err := c.Read(make([]byte, 8)); n != 1 || err != nil {
		t.Errorf("looking took the byte away: %d, %v", n, err)
	}
	if !c.Quiet() {
		t.Error("not quiet after all was read")
	}
	_ = peer.Close()
	arrived(t, c)
	if c.Quiet() {
		t.Error("quiet at the end")
	}
	_ = c.Close()
	if c.Quiet() {
		t.Error("quiet when closed")
	}
}

// arrived waits until there is something to read, and leaves it there.
func arrived(t *testing.T, c *socket.Conn) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Read(func(fd uintptr) bool {
		_, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK)
		return err != syscall.EAGAIN
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOthers leaves what is no TCP connection alone, and wraps nothing twice.
func TestOthers(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if socket.New(a) != a {
		t.Error("a pipe was wrapped")
	}
	if _, ok := socket.TCP(a); ok {
		t.Error("a pipe is said to be TCP")
	}
	c, peer := pair(t)
	if socket.New(c) != c {
		t.Error("wrapped twice")
	}
	for _, c := range []net.Conn{c, peer} {
		if _, ok := socket.TCP(c); !ok {
			t.Errorf("%T is not said to be TCP", c)
		}
	}
}

func TestAllocations(t *testing.T) {
	c, peer := pair(t)
	p := make([]byte, 100)
	allocs := testing.AllocsPerRun(100, func() {
		_, _ = peer.Write(p)
		_, _ = c.Read(p)
		_, _ = c.Write(p)
		_, _ = peer.Read(p)
	})
	if allocs != 0 {
		t.Errorf("%v allocations for a read and a write, want none", allocs)
	}
}

// reset closes a connection so that its peer gets a reset.
func reset(c net.Conn) {
	_ = c.(*net.TCPConn).SetLinger(0)
	_ = c.Close()
}

func BenchmarkRoundTrip(b *testing.B) {
	for _, kind := range []string{"socket", "net"} {
		b.Run(kind, func(b *testing.B) {
			c, peer := pair(b)
			if kind == "net" {
				c, _ = socket.TCP(c)
			}
			p := make([]byte, 100)
			b.ReportAllocs()
			for b.Loop() {
				_, _ = peer.Write(p)
				_, _ = c.Read(p)
				_, _ = c.Write(p)
				_, _ = peer.Read(p)
			}
		})
	}
}
