package netns

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Host is a machine of the network. Its methods may be used by several
// goroutines at once.
type Host struct {
	Name string
	IPv4 netip.Addr // in 10.77.0.0/24
	IPv6 netip.Addr // in fd77::/64

	*space
	t    testing.TB
	net  *Network
	port string // the name of the bridge's end of its cable

	mu        sync.Mutex
	processes []*Process
}

// Addrs returns both addresses, for tests that run over either.
func (h *Host) Addrs() []netip.Addr { return []netip.Addr{h.IPv4, h.IPv6} }

// Listen opens a TCP listener on the host. The address must be literal.
func (h *Host) Listen(address string) (net.Listener, error) {
	var listener net.Listener
	err := h.Do(func() (err error) {
		listener, err = net.Listen("tcp", address)
		return err
	})
	return listener, err
}

// Dial connects from the host by TCP, as root. The address must be literal.
func (h *Host) Dial(ctx context.Context, address string) (net.Conn, error) {
	return h.DialAs(ctx, 0, address)
}

// DialAs connects from the host by TCP with a socket that belongs to uid.
func (h *Host) DialAs(ctx context.Context, uid uint32, address string) (net.Conn, error) {
	var conn net.Conn
	err := h.Do(func() (err error) {
		// Do has locked the thread, and the file system user is per thread.
		before, err := unix.SetfsuidRetUid(int(uid))
		if err != nil {
			return err
		}
		defer unix.SetfsuidRetUid(before)
		var dialer net.Dialer
		conn, err = dialer.DialContext(ctx, "tcp", address)
		return err
	})
	return conn, err
}

// LinkDown pulls the host's cable: nothing arrives and nothing leaves, and
// nobody is told. The host keeps its addresses.
func (h *Host) LinkDown() {
	h.t.Helper()
	must(h.t, "pull cable of "+h.Name, h.net.bridge.Do(func() error { return setLink(h.port, netlink.LinkSetDown) }))
}

// LinkUp plugs the cable in again.
func (h *Host) LinkUp() {
	h.t.Helper()
	must(h.t, "plug cable of "+h.Name, h.net.bridge.Do(func() error { return setLink(h.port, netlink.LinkSetUp) }))
}

func setLink(name string, set func(netlink.Link) error) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return set(link)
}
