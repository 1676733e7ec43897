// Package socket reads and writes TCP connections at less cost than the
// standard library. The sockets never block, so a system call on one is short,
// and Go's scheduler need not hear of it: telling it costs time on each call,
// and lets its watchdog move the work to another thread in the middle of one.
// Waiting is left to the standard library.
package socket

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
)

// Conn is a TCP connection. One goroutine reads and one writes at a time; the
// rest is safe for concurrent use. What is not here does as in net.TCPConn.
type Conn struct {
	*net.TCPConn
	raw     syscall.RawConn
	in, out transfer
	quiet   bool
	// These are made once, so that a call allocates nothing.
	recv, send, look, lent func(fd uintptr) bool
	lender                 Lender // of a ReadLent under way
}

// Lender lends a buffer to read into.
type Lender interface {
	Lend() []byte
	Back() // what was lent is not needed
}

// transfer is a call under way.
type transfer struct {
	p   []byte // what is left to read into, or to write
	n   int    // bytes that went
	err error
}

// New makes a Conn of a TCP connection, and gives any other back as it is.
func New(c net.Conn) net.Conn {
	t, ok := c.(*net.TCPConn)
	if !ok {
		return c
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return c
	}
	s := &Conn{TCPConn: t, raw: raw}
	s.recv = func(fd uintptr) bool { return s.in.read(int(fd)) }
	s.lent = func(fd uintptr) bool {
		s.in.p = s.lender.Lend()
		if s.in.read(int(fd)) {
			return true
		}
		s.lender.Back()
		s.in.p = nil
		return false
	}
	s.send = func(fd uintptr) bool { return s.out.write(int(fd)) }
	s.look = func(fd uintptr) bool {
		_, err := peek(int(fd))
		s.quiet = err == syscall.EAGAIN
		return true
	}
	return s
}

// TCP gives the net.TCPConn behind a connection, if there is one.
func TCP(c net.Conn) (*net.TCPConn, bool) {
	switch t := c.(type) {
	case *Conn:
		return t.TCPConn, true
	case *net.TCPConn:
		return t, true
	}
	return nil, false
}

// Read is part of net.Conn.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.in = transfer{p: p}
	err := c.raw.Read(c.recv)
	n := c.in.n
	if err = c.failed("read", err, c.in.err); err == nil && n == 0 {
		err = io.EOF
	}
	c.in = transfer{}
	return n, err
}

// ReadLent is Read into a buffer that is lent only when there is something to
// read: waiting takes no memory. The bytes are the lender's, and stay lent.
func (c *Conn) ReadLent(l Lender) ([]byte, error) {
	c.in, c.lender = transfer{}, l
	err := c.raw.Read(c.lent)
	p := c.in.p[:c.in.n]
	if err = c.failed("read", err, c.in.err); err == nil && len(p) == 0 {
		err = io.EOF
	}
	c.in, c.lender = transfer{}, nil
	return p, err
}

// Write is part of net.Conn: it writes all, or gives an error.
func (c *Conn) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.out = transfer{p: p}
	err := c.raw.Write(c.send)
	n := c.out.n
	err = c.failed("write", err, c.out.err)
	c.out = transfer{}
	return n, err
}

// Quiet says that nothing has arrived which nobody has read, an end and an
// error included. It is a read: not for use while another is under way.
func (c *Conn) Quiet() bool {
	c.quiet = false
	return c.raw.Read(c.look) == nil && c.quiet
}

// failed makes the error of a call: waiting failed, or the system call did.
func (c *Conn) failed(call string, waiting, calling error) error {
	if waiting == nil && calling == nil {
		return nil
	}
	cause := waiting
	if waiting == nil {
		cause = os.NewSyscallError(call, calling)
	} else if e := (*net.OpError)(nil); errors.As(waiting, &e) {
		cause = e.Err
	}
	return &net.OpError{Op: call, Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: cause}
}

// read makes one attempt; it is false when nothing is there yet.
func (t *transfer) read(fd int) (done bool) {
	for {
		n, err := read(fd, t.p)
		switch err {
		case 0:
			t.n = n
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		default:
			t.err = err
		}
		return true
	}
}

// write writes until all is written; it is false when the kernel takes no more
// for now.
func (t *transfer) write(fd int) (done bool) {
	for len(t.p) > 0 {
		n, err := write(fd, t.p)
		switch err {
		case 0:
			t.n, t.p = t.n+n, t.p[n:]
		case syscall.EINTR:
		case syscall.EAGAIN:
			return false
		default:
			t.err = err
			return true
		}
	}
	return true
}
