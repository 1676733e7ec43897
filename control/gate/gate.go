// Package gate bounds the connections that the port for proxies keeps, so that
// nobody can use up the memory of the control plane by connecting to it, nor
// keep others out.
//
// A connection is first in its handshake, and then either a guest, who showed
// no certificate and may ask for one, or a member, whose certificate names its
// workload. Where there are too many of a kind, room is made by who takes the
// most of it: a guest or a handshake of the address with the most of them, the
// oldest first, and a member's own oldest connection.
package gate

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/leno-mesh/leno/crowd"
	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
)

const (
	// MaxHandshakes bounds the handshakes under way.
	MaxHandshakes = 1024
	// MaxGuests bounds the connections without a certificate.
	MaxGuests = 1024
	// MaxOfWorkload bounds the connections of one workload. It needs one for its
	// stream, one more while it renews its certificate, and as many again after
	// the network was cut.
	MaxOfWorkload = 8
	// HandshakeTime bounds a handshake.
	HandshakeTime = 10 * time.Second
	// tellEvery is how often the log says that connections were ended.
	tellEvery = time.Minute
)

// Gate is a listener whose connections have done their TLS handshake.
type Gate struct {
	net.Listener
	tls *tls.Config
	log *slog.Logger

	ready    chan *tls.Conn
	failed   chan error // of the listener below
	closed   chan struct{}
	shut     sync.Once
	shaking  sync.WaitGroup
	shutting context.CancelFunc

	mu         sync.Mutex
	handshakes crowd.Crowd[netip.Prefix, *conn]    // guarded by mu
	guests     crowd.Crowd[netip.Prefix, *conn]    // guarded by mu
	members    crowd.Crowd[mesh.WorkloadID, *conn] // guarded by mu
	ended      int                                 // guarded by mu; to make room, since the log last said so
	told       time.Time                           // guarded by mu
}

// New takes over a listener.
func New(l net.Listener, cfg *tls.Config, log *slog.Logger) *Gate {
	g := build(l, cfg, log)
	g.begin()
	return g
}

func build(l net.Listener, cfg *tls.Config, log *slog.Logger) *Gate {
	return &Gate{
		Listener: l, tls: cfg, log: log,
		ready: make(chan *tls.Conn), failed: make(chan error), closed: make(chan struct{}),
		handshakes: crowd.Crowd[netip.Prefix, *conn]{Most: MaxHandshakes},
		guests:     crowd.Crowd[netip.Prefix, *conn]{Most: MaxGuests},
		members:    crowd.Crowd[mesh.WorkloadID, *conn]{Each: MaxOfWorkload},
	}
}

func (g *Gate) begin() {
	ctx, cancel := context.WithCancel(context.Background())
	g.shutting = cancel
	g.shaking.Go(func() { g.run(ctx) })
}

// Accept gives the next connection that is through.
func (g *Gate) Accept() (net.Conn, error) {
	select {
	case c := <-g.ready:
		return c, nil
	case err := <-g.failed:
		return nil, err
	case <-g.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the listener and the handshakes under way, and waits for them.
// Connections that were accepted stay.
func (g *Gate) Close() (err error) {
	g.shut.Do(func() {
		err = g.Listener.Close()
		close(g.closed)
		g.shutting()
		g.shaking.Wait()
	})
	return err
}

// run takes connections until the listener ends. Whoever accepts decides how
// long to wait after an error.
func (g *Gate) run(ctx context.Context) {
	for {
		raw, err := g.Listener.Accept()
		if err != nil {
			select {
			case g.failed <- err:
			case <-g.closed:
			}
			if errors.Is(err, net.ErrClosed) {
				return
			}
			continue
		}
		c := &conn{Conn: raw, gate: g, from: crowd.Network(raw.RemoteAddr())}
		_ = g.enter(c, place(&g.handshakes, c.from))
		g.shaking.Go(func() { g.handshake(ctx, c) })
	}
}

// handshake does one handshake and hands the connection over.
func (g *Gate) handshake(ctx context.Context, c *conn) {
	ctx, cancel := context.WithTimeout(ctx, HandshakeTime)
	defer cancel()
	secured := tls.Server(c, g.tls)
	if err := secured.HandshakeContext(ctx); err != nil {
		g.log.Debug("handshake failed", "peer", c.RemoteAddr().String(), "error", err)
		_ = c.Close()
		return
	}
	door := place(&g.guests, c.from)
	if state := secured.ConnectionState(); len(state.PeerCertificates) > 0 {
		_, workload, err := identity.Peer(state)
		if err != nil {
			g.log.Debug("certificate refused", "peer", c.RemoteAddr().String(), "error", err)
			_ = c.Close()
			return
		}
		door = place(&g.members, workload)
	}
	if !g.enter(c, door) {
		return
	}
	select {
	case g.ready <- secured:
	case <-g.closed:
		_ = c.Close()
	}
}

// door lets a connection into a crowd. It gives the one that must go for it,
// or nil, and what takes the new one out again.
type door func(*conn) (out *conn, leave func())

func place[K comparable](in *crowd.Crowd[K, *conn], k K) door {
	return func(c *conn) (*conn, func()) {
		out, _ := in.Add(k, c)
		return out, func() { in.Remove(k, c) }
	}
}

// enter moves a connection from where it is to the next crowd, and ends the one
// that makes room for it. It is false for a connection that was ended itself.
func (g *Gate) enter(c *conn, next door) bool {
	g.mu.Lock()
	if c.gone {
		g.mu.Unlock()
		return false
	}
	if c.leave != nil {
		c.leave()
	}
	var out *conn
	out, c.leave = next(c)
	ended := 0
	if out != nil {
		out.leave, out.gone = nil, true
		g.ended++
		if now := time.Now(); now.Sub(g.told) >= tellEvery {
			ended, g.ended, g.told = g.ended, 0, now
		}
	}
	g.mu.Unlock()
	if out != nil {
		_ = out.Conn.Close()
	}
	if ended > 0 {
		g.log.Warn("connections ended to make room for others: as many handshakes, guests, or connections of one workload as there may be",
			"ended", ended, "last", out.RemoteAddr().String())
	}
	return true
}

// conn is one connection below TLS. It gives its place back when it closes.
type conn struct {
	net.Conn
	gate  *Gate
	from  netip.Prefix
	leave func() // guarded by gate.mu; takes it out of its crowd
	gone  bool   // guarded by gate.mu
}

func (c *conn) Close() error {
	c.gate.mu.Lock()
	if c.leave != nil {
		c.leave()
	}
	c.leave, c.gone = nil, true
	c.gate.mu.Unlock()
	return c.Conn.Close()
}
