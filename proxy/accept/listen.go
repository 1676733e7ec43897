package accept

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/leno-mesh/leno/proxy/socket"
	"github.com/leno-mesh/leno/redirect/origdst"
)

// Listener takes connections from one socket and serves each on a goroutine
// of its own.
type Listener struct {
	Listener net.Listener
	// Serve serves one connection and closes it.
	Serve func(ctx context.Context, c net.Conn)
	// Max bounds the connections at once; more wait in the kernel's queue.
	Max int
}

// Open listens at an address. At most unsent bytes wait in the kernel for one of
// its connections to take them, besides those on their way: without a bound they
// grow to megabytes for one that does not read, and count as this process's
// memory.
//
// It does not speak Multipath TCP, whose connections inherit nothing and cannot
// be spliced; who asks for it gets TCP.
func Open(ctx context.Context, at netip.AddrPort, unsent int) (net.Listener, error) {
	c := net.ListenConfig{Control: prepare(unsent)}
	if c.Control != nil {
		c.KeepAlive = -1 // inherited
	}
	c.SetMultipathTCP(false)
	return c.Listen(ctx, "tcp", at.String())
}

// Run accepts until ctx ends, then waits for the connections. Serve gets ctx
// serving, which outlives ctx for as long as the drain takes.
func (l *Listener) Run(ctx, serving context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = l.Listener.Close() })
	defer stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	slots := make(chan struct{}, l.Max)
	for {
		slots <- struct{}{}
		c, err := l.Listener.Accept()
		if err != nil {
			<-slots
			if ctx.Err() != nil {
				return nil
			}
			if temporary(err) {
				wait(ctx)
				continue
			}
			return err
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer func() { <-slots }()
			l.Serve(serving, socket.New(c))
		}()
	}
}

// temporary errors are those of one connection or of a lack of descriptors.
func temporary(err error) bool {
	return !errors.Is(err, net.ErrClosed)
}

// wait lets other connections end before the next try.
func wait(ctx context.Context) {
	t := time.NewTimer(5 * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// RedirectedTo gives the original destination of a connection that was
// captured, and the zero value for one that came to the listener itself.
func RedirectedTo(c net.Conn) netip.AddrPort {
	t, ok := socket.TCP(c)
	if !ok {
		return netip.AddrPort{}
	}
	to, err := origdst.OriginalDst(t)
	if err != nil {
		return netip.AddrPort{}
	}
	to = netip.AddrPortFrom(to.Addr().Unmap(), to.Port())
	local, ok := t.LocalAddr().(*net.TCPAddr)
	if !ok || to == netip.AddrPortFrom(local.AddrPort().Addr().Unmap(), local.AddrPort().Port()) {
		return netip.AddrPort{}
	}
	return to
}
