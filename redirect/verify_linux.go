package redirect

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/leno-mesh/leno/redirect/origdst"
	"golang.org/x/sys/unix"
)

// verifyPatience bounds one self-test connection. One that is captured ends on
// this machine and takes microseconds; only a failure waits this long.
const verifyPatience = 2 * time.Second

// errNoRoute says that no connection of this address family can leave here, so
// that there is nothing to capture and nothing to test.
var errNoRoute = errors.New("no route leads out of this network namespace")

// Verify proves that the capture described by c works in the network namespace
// of the calling thread.
//
// The inbound half is read back from the kernel. The outbound half is tried,
// for each address family that has a route: a connection to an address outside
// must arrive at a listener that Verify opens on the outbound port, with its
// original destination intact, and where the process may change its user, one
// that belongs to the proxy's user must not. So Verify runs while the proxy
// does not, as in an init container.
func Verify(ctx context.Context, c Config) error {
	plan, err := NewPlan(c)
	if err != nil {
		return err
	}
	if err := installed(plan); err != nil {
		return err
	}
	c = c.withDefaults()
	loopbacks := []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	if !c.IPv4Only {
		loopbacks = append(loopbacks, netip.IPv6Loopback())
	}
	tried := 0
	for _, loopback := range loopbacks {
		err := verifyOutbound(ctx, c, loopback)
		if errors.Is(err, errNoRoute) {
			continue
		}
		if err != nil {
			return fmt.Errorf("verify outbound capture: %w", err)
		}
		tried++
	}
	if tried == 0 {
		return fmt.Errorf("verify outbound capture: %w", errNoRoute)
	}
	return nil
}

// verifyOutbound tries the family of loopback: it plays the proxy's outbound
// listener there, and an application that connects to the world.
func verifyOutbound(ctx context.Context, c Config, loopback netip.Addr) error {
	ctx, cancel := context.WithTimeout(ctx, verifyPatience)
	defer cancel()
	var config net.ListenConfig
	at := netip.AddrPortFrom(loopback, c.OutboundPort).String()
	listener, err := config.Listen(ctx, "tcp", at)
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("%s is in use: verify before the proxy starts", at)
	case errors.Is(err, unix.EADDRNOTAVAIL), errors.Is(err, unix.EAFNOSUPPORT):
		return errNoRoute // the family is switched off here
	case err != nil:
		return err
	}
	defer listener.Close()
	defer context.AfterFunc(ctx, func() { _ = listener.Close() })()

	for _, target := range targets(c, loopback) {
		if routable(target) {
			return try(ctx, c, listener, target)
		}
	}
	return errNoRoute
}

// routable tells whether a packet to target could leave. Connecting a UDP
// socket asks for a route and sends nothing.
func routable(target netip.AddrPort) bool {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(target))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// try connects to target, first as the proxy and then as an application, and
// expects only the second at the listener.
func try(ctx context.Context, c Config, listener net.Listener, target netip.AddrPort) error {
	closeProxy, err := connectAsProxy(c.ProxyUID, target)
	if err != nil {
		return err
	}
	defer closeProxy()
	client, err := dialAsApplication(ctx, c.ProxyUID, target)
	if errors.Is(err, errCannotBe) {
		return fmt.Errorf("%w: verify as another user than the proxy's", err)
	}
	if err != nil {
		return fmt.Errorf("a connection to %s was not captured: %w", target, err)
	}
	defer client.Close()
	server, err := listener.Accept()
	if err != nil {
		return fmt.Errorf("a connection to %s was not captured: %w", target, err)
	}
	defer server.Close()
	if server.RemoteAddr().String() != client.LocalAddr().String() {
		return fmt.Errorf("a connection of the proxy's own user %d was captured", c.ProxyUID)
	}
	original, err := origdst.OriginalDst(server.(*net.TCPConn))
	if err != nil {
		return err
	}
	if original != target {
		return fmt.Errorf("a connection to %s was captured, but arrived as one to %s", target, original)
	}
	return nil
}

func dialAsApplication(ctx context.Context, proxyUID uint32, target netip.AddrPort) (net.Conn, error) {
	var dialer net.Dialer
	if os.Geteuid() != int(proxyUID) {
		return dialer.DialContext(ctx, "tcp", target.String())
	}
	var conn net.Conn
	err := asUser(proxyUID+1, func() (err error) {
		conn, err = dialer.DialContext(ctx, "tcp", target.String())
		return err
	})
	return conn, err
}

// targets returns addresses of the family of loopback to connect to, best
// first: those set aside for documentation, which no real machine has (RFC 5737
// and RFC 3849), then neighbours, for networks without a default route.
func targets(c Config, loopback netip.Addr) []netip.AddrPort {
	documentation := []string{"192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"}
	var addrs []netip.Addr
	for _, text := range documentation {
		addrs = append(addrs, netip.MustParseAddr(text))
	}
	addrs = append(addrs, neighbours()...)
	port := unskippedPort(c)
	var usable []netip.AddrPort
	for _, a := range addrs {
		if a.Is4() == loopback.Is4() && !skipped(c, a) {
			usable = append(usable, netip.AddrPortFrom(a, port))
		}
	}
	return usable
}

// neighbours returns for each network that an interface is in an address other
// than the interface's own. Nobody needs to answer there.
func neighbours() []netip.Addr {
	var found []netip.Addr
	own, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, a := range own {
		prefix, err := netip.ParsePrefix(a.String())
		addr := prefix.Addr()
		if err != nil || !addr.IsGlobalUnicast() {
			continue
		}
		for _, n := range []netip.Addr{addr.Next(), addr.Prev()} {
			if prefix.Contains(n) && n != prefix.Masked().Addr() {
				found = append(found, n)
				break
			}
		}
	}
	return found
}

func skipped(c Config, a netip.Addr) bool {
	for _, p := range c.SkipOutboundCIDRs {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// unskippedPort returns a high port that the capture does not leave alone.
func unskippedPort(c Config) uint16 {
	port := uint16(49151)
next:
	for ; port > 1; port-- {
		for _, r := range c.SkipOutboundPorts {
			if r.First <= port && port <= r.Last {
				continue next
			}
		}
		return port
	}
	return port
}
