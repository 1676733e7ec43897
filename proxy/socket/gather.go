package socket

import (
	"net"
	"sync"
)

// Gather is a connection below TLS. TLS writes each record by itself; between
// Hold and Release records are put together, and go to the kernel in one call.
// Writes are safe for concurrent use: TLS answers its peer from the side that
// reads, too.
type Gather struct {
	net.Conn

	mu   sync.Mutex
	held []byte // guarded by mu; waits for Release. Nil: nothing is held back
	sent int    // guarded by mu; bytes since Hold that the kernel took
}

// NewGather makes a Gather of c.
func NewGather(c net.Conn) *Gather { return &Gather{Conn: c} }

// NetConn is what the Gather stands on.
func (g *Gather) NetConn() net.Conn { return g.Conn }

// Hold keeps what is written from now on back, in buf, as much as fits.
func (g *Gather) Hold(buf []byte) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held, g.sent = buf[:0:cap(buf)], 0
}

// Release writes what was kept back, and says how many of the bytes since Hold
// the kernel took. The buffer is the caller's again.
func (g *Gather) Release() (sent int, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	err = g.flush()
	g.held = nil
	return g.sent, err
}

// Write is part of net.Conn.
func (g *Gather) Write(p []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.held == nil {
		return g.Conn.Write(p)
	}
	if len(p) > cap(g.held)-len(g.held) {
		if err := g.flush(); err != nil {
			return 0, err
		}
	}
	if len(p) > cap(g.held) {
		n, err := g.Conn.Write(p)
		g.sent += n
		return n, err
	}
	g.held = append(g.held, p...)
	return len(p), nil
}

// flush is called with mu held.
func (g *Gather) flush() error {
	if len(g.held) == 0 {
		return nil
	}
	n, err := g.Conn.Write(g.held)
	g.sent += n
	g.held = g.held[:0]
	return err
}
