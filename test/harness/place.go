package harness

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync/atomic"
	"testing"

	"github.com/leno-mesh/leno/test/netns"
)

// Place is where programs run: at an own address of this machine's loopback
// network, or on a host in a network namespace.
type Place struct {
	Addr netip.Addr
	Host *netns.Host // nil on this machine
}

var lastLoopback atomic.Uint32

// Loopback gives an address of 127.20.0.0/16 that no other test uses.
func Loopback(t testing.TB) Place {
	t.Helper()
	for range 1000 {
		n := lastLoopback.Add(1)
		a := netip.AddrFrom4([4]byte{127, 20, byte(os.Getpid()%250) + byte(n/250)%5, byte(n%250) + 1})
		l, err := net.Listen("tcp", netip.AddrPortFrom(a, 4143).String())
		if err != nil {
			continue // another run of the tests is there
		}
		l.Close()
		return Place{Addr: a}
	}
	t.Fatal("no free loopback address")
	return Place{}
}

// On gives the place of a host, with its IPv4 address.
func On(h *netns.Host) Place { return Place{Addr: h.IPv4, Host: h} }

// At gives the address of a port there.
func (p Place) At(port uint16) netip.AddrPort { return netip.AddrPortFrom(p.Addr, port) }

// Dial connects from there, as root. The address must be literal.
func (p Place) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if p.Host != nil {
		return p.Host.Dial(ctx, address)
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

// HTTP gives a client that connects from there.
func (p Place) HTTP(t testing.TB) *http.Client {
	transport := &http.Transport{DialContext: p.Dial, MaxIdleConnsPerHost: 64, DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// outbound is where the proxy at a place takes its own clients' connections.
func (p Place) outbound() netip.AddrPort {
	if p.Host != nil {
		return netip.MustParseAddrPort("127.0.0.1:4140")
	}
	return p.At(4140)
}

// String names the place for messages.
func (p Place) String() string {
	if p.Host != nil {
		return fmt.Sprintf("%s (%s)", p.Host.Name, p.Addr)
	}
	return p.Addr.String()
}
