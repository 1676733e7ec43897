package flow

import (
	"net"
	"os"
	"sync"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// StreamConn is an opaque stream of a link as a net.Conn, for looking at what
// it carries. Reads obey a deadline, which a stream itself knows nothing of:
// therefore they happen in a goroutine, until Direct is called.
type StreamConn struct {
	*StreamDuplex
	pending chan read // a read under way, or nil
	rest    []byte    // of what was read last
	direct  bool

	mu    sync.Mutex
	timer *time.Timer   // guarded by mu
	over  chan struct{} // guarded by mu; closed when the deadline has passed
}

type read struct {
	p   []byte
	err error
}

// NewStreamConn wraps an end of a stream. Close must follow.
func NewStreamConn(d *StreamDuplex) *StreamConn {
	return &StreamConn{StreamDuplex: d, over: make(chan struct{})}
}

// Direct ends the need for deadlines, for a pipe that reads until the end.
func (c *StreamConn) Direct() { c.direct = true }

// Read is part of net.Conn.
func (c *StreamConn) Read(p []byte) (int, error) {
	if len(c.rest) == 0 {
		if err := c.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

// Next is Read without a copy. The bytes are valid until the next call.
func (c *StreamConn) Next() ([]byte, error) {
	if len(c.rest) == 0 {
		if err := c.next(); err != nil {
			return nil, err
		}
	}
	p := c.rest
	c.rest = nil
	return p, nil
}

func (c *StreamConn) next() (err error) {
	if c.direct && c.pending == nil {
		c.rest, err = c.StreamDuplex.Next()
		return err
	}
	c.mu.Lock()
	over := c.over
	c.mu.Unlock()
	select {
	case <-over:
		return os.ErrDeadlineExceeded
	default:
	}
	if c.pending == nil {
		done := make(chan read, 1)
		c.pending = done
		go func() {
			p, err := c.StreamDuplex.Next()
			done <- read{p, err}
		}()
	}
	select {
	case r := <-c.pending:
		c.pending = nil
		c.rest = r.p
		return r.err
	case <-over:
		return os.ErrDeadlineExceeded
	}
}

// SetReadDeadline is part of net.Conn.
func (c *StreamConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	select {
	case <-c.over:
		c.over = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return nil
	}
	over := c.over
	left := time.Until(t)
	if left <= 0 {
		close(over)
		return nil
	}
	var timer *time.Timer
	timer = time.AfterFunc(left, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.timer == timer {
			c.timer = nil
			close(over)
		}
	})
	c.timer = timer
	return nil
}

// SetDeadline is part of net.Conn. Writes have no deadline.
func (c *StreamConn) SetDeadline(t time.Time) error { return c.SetReadDeadline(t) }

// SetWriteDeadline is part of net.Conn and does nothing.
func (c *StreamConn) SetWriteDeadline(time.Time) error { return nil }

// Close ends a read that is still under way, and gives the stream back.
func (c *StreamConn) Close() error {
	_ = c.SetReadDeadline(time.Time{})
	if c.pending != nil {
		code := http2.ErrCodeNo
		if c.opened {
			code = http2.ErrCodeCancel
		}
		c.ref.Reset(code, "the rest is not wanted")
		<-c.pending
		c.pending = nil
	}
	return c.StreamDuplex.Close()
}

// LocalAddr is part of net.Conn.
func (c *StreamConn) LocalAddr() net.Addr { return streamAddr{} }

// RemoteAddr is part of net.Conn.
func (c *StreamConn) RemoteAddr() net.Addr { return streamAddr{} }

type streamAddr struct{}

func (streamAddr) Network() string { return "link" }
func (streamAddr) String() string  { return "stream of a link" }
