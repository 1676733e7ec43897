package proxy

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/socket"
	"github.com/leno-mesh/leno/telemetry"
)

// option reads an option of a TCP connection back.
func option(t *testing.T, c net.Conn, name int) (value int) {
	t.Helper()
	tcp, ok := socket.TCP(c)
	if !ok {
		t.Fatalf("%T is no TCP connection", c)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var serr error
	if err := raw.Control(func(fd uintptr) { value, serr = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, name) }); err != nil || serr != nil {
		t.Fatal(err, serr)
	}
	return value
}

// unused gives an address at which a proxy can listen.
func unused(t *testing.T) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// idleProxy makes a proxy that does not run.
func idleProxy(t *testing.T, cfg Config) *Proxy {
	t.Helper()
	cfg.Inbound, cfg.Log = unused(t), slog.New(slog.DiscardHandler)
	cfg.Identity, cfg.Metrics = identity.NewSource(), telemetry.NewRegistry(telemetry.Config{})
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p
}

// TestLinksAreTuned has links give up soon on a peer that acknowledges nothing.
// The same wait would cut off a server that is in no mesh and takes its time to
// read: the kernel counts a shut window too.
func TestLinksAreTuned(t *testing.T) {
	p := idleProxy(t, Config{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to := l.Addr().(*net.TCPAddr).AddrPort()
	dial := func() (c, peer net.Conn) {
		c, err := p.peers.Dial(context.Background(), to)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		if peer, err = l.Accept(); err != nil {
			t.Fatal(err)
		}
		return c, peer
	}
	plain, accepted := dial()
	defer accepted.Close()
	if got := option(t, plain, unix.TCP_USER_TIMEOUT); got != 0 {
		t.Errorf("a plain connection has a user timeout of %d ms", got)
	}
	if got := option(t, plain, unix.TCP_NOTSENT_LOWAT); got > 0 {
		t.Errorf("a plain connection keeps %d bytes unsent", got)
	}
	for side, secure := range map[string]func(net.Conn) error{
		"outbound": func(c net.Conn) error {
			_, _, err := p.peers.Handshake(context.Background(), c, mesh.Endpoint{})
			return err
		},
		"inbound": func(c net.Conn) error {
			_, _, err := p.inbound.identify(context.Background(), c)
			return err
		},
	} {
		c, peer := dial()
		_ = peer.(*net.TCPConn).CloseWrite() // the handshake fails
		defer peer.Close()
		if secure(c) == nil {
			t.Errorf("%s: a handshake with nobody", side)
		}
		if got := option(t, c, unix.TCP_USER_TIMEOUT); got != 5000 {
			t.Errorf("%s: a link has a user timeout of %d ms", side, got)
		}
		if got := option(t, c, unix.TCP_NOTSENT_LOWAT); got != 64<<10 {
			t.Errorf("%s: a link keeps %d bytes unsent", side, got)
		}
	}
}

// TestAccepted has a connection that is accepted keep little in the kernel, where
// for one that does not read it would grow to megabytes, and notice a peer that is
// gone without a word.
func TestAccepted(t *testing.T) {
	for _, tt := range []struct{ set, want int }{{0, DefaultUnsent}, {20 << 10, 20 << 10}} {
		p := idleProxy(t, Config{Outbound: []netip.AddrPort{unused(t)}, MaxUnsent: tt.set})
		ctx, stop := context.WithCancel(context.Background())
		var running sync.WaitGroup
		for _, l := range p.listeners {
			got := make(chan [2]int, 1)
			l.Serve = func(_ context.Context, c net.Conn) {
				got <- [2]int{option(t, c, unix.TCP_NOTSENT_LOWAT), option(t, c, unix.TCP_KEEPIDLE)}
				_ = c.Close()
			}
			running.Go(func() { _ = l.Run(ctx, ctx) })
			c, err := net.Dial("tcp", l.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			if n := <-got; n != [2]int{tt.want, 15} {
				t.Errorf("connection to %s: bytes that may wait and seconds to the first probe are %d, want %d and 15", l.Listener.Addr(), n, tt.want)
			}
			_ = c.Close()
		}
		stop()
		running.Wait()
	}
}
