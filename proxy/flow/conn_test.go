package flow

import (
	"net"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/socket"
)

// tcpPair gives both ends of a TCP connection, one of them as the proxy has it.
func tcpPair(t *testing.T) (*Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := NewConn(socket.New(accepted), &Buffers{})
	t.Cleanup(func() { _ = peer.Close(); _ = c.Close() })
	return c, peer
}

// TestIdleHoldsNothing looks at the buffers of a connection between two requests:
// there are none, and none are counted.
func TestIdleHoldsNothing(t *testing.T) {
	c, peer := tcpPair(t)
	wait := func() {
		t.Helper()
		_ = c.SetReadDeadline(time.Unix(1, 0))
		if err := c.Fill(); !isTimeout(err) {
			t.Fatalf("got %v, want a time-out", err)
		}
		_ = c.SetReadDeadline(time.Time{})
		if c.in != nil || c.out != nil || c.pool.Used() != 0 {
			t.Errorf("%d and %d bytes of buffers are held, %d counted", len(c.in), cap(c.out), c.pool.Used())
		}
	}
	wait()
	for range 2 {
		_, _ = peer.Write([]byte("request"))
		if err := c.Fill(); err != nil || string(c.Bytes()) != "request" {
			t.Fatalf("%q, %v", c.Bytes(), err)
		}
		c.Consume(3)
		if string(c.Bytes()) != "uest" {
			t.Errorf("what was not consumed is %q", c.Bytes())
		}
		c.Consume(4)
		c.SetOut(append(c.Out(), "answer"...))
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		wait()
	}
	c.Roomy() // a long body is to come
	wait()
	_, _ = peer.Write([]byte("body"))
	if err := c.Fill(); err != nil || len(c.in) != LargeBuffer || c.pool.Used() != LargeBuffer-SmallBuffer {
		t.Errorf("%v with %d bytes of buffer, %d counted", err, len(c.in), c.pool.Used())
	}
	c.Consume(4)
	wait()
	c.Shrink()
	_, _ = peer.Write([]byte("next"))
	if err := c.Fill(); err != nil || len(c.in) != SmallBuffer {
		t.Errorf("%v with %d bytes of buffer after the body", err, len(c.in))
	}
}
