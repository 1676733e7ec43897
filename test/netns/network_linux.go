package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// interfaceName is what every host calls its way to the others.
const interfaceName = "eth0"

// Network is a bridge with hosts on it, which reach each other and nothing else.
type Network struct {
	bridge *space
	hosts  map[string]*Host
}

// New builds a network with a host of each name, in order 10.77.0.1,
// 10.77.0.2, ... and fd77::1, fd77::2, ... It is taken down when the test ends.
func New(t testing.TB, hosts ...string) *Network {
	t.Helper()
	RequireRoot(t)
	n := &Network{bridge: newSpace(t), hosts: make(map[string]*Host)}
	must(t, "make bridge", n.bridge.Do(addBridge))
	for i, name := range hosts {
		n.hosts[name] = newHost(t, n, name, i+1)
	}
	return n
}

// RequireRoot skips the test where the process is not root, or fails it where
// LENO_TEST_REQUIRE_ROOT=1 forbids skipping. Short runs skip it anyway.
func RequireRoot(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("network namespaces are not part of the short tests")
	}
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("LENO_TEST_REQUIRE_ROOT") == "1" {
		t.Fatal("network namespaces need root, and LENO_TEST_REQUIRE_ROOT=1 forbids skipping")
	}
	t.Skip("network namespaces need root: run the tests as root to include this one")
}

// Host returns the host of that name. It panics for a name not given to New.
func (n *Network) Host(name string) *Host {
	h, ok := n.hosts[name]
	if !ok {
		panic(fmt.Sprintf("netns: no host %q", name))
	}
	return h
}

const bridgeName = "bridge"

func addBridge() error {
	bridge := &netlink.Bridge{LinkAttrs: netlink.NewLinkAttrs()}
	bridge.Name = bridgeName
	if err := netlink.LinkAdd(bridge); err != nil {
		return err
	}
	return netlink.LinkSetUp(bridge)
}

func newHost(t testing.TB, n *Network, name string, number int) *Host {
	t.Helper()
	h := &Host{
		Name:  name,
		IPv4:  netip.AddrFrom4([4]byte{10, 77, 0, byte(number)}),
		IPv6:  netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x77, 15: byte(number)}),
		t:     t,
		space: newSpace(t),
		net:   n,
		port:  fmt.Sprintf("port%d", number),
	}
	must(t, "connect host "+name, n.bridge.Do(func() error { return plug(h.port, h.handle) }))
	must(t, "configure host "+name, h.Do(h.configure))
	t.Cleanup(h.stopAll)
	return h
}

// plug makes a cable: one end on the bridge of this namespace, the other in
// the namespace of the host.
func plug(port string, host netns.NsHandle) error {
	bridge, err := netlink.LinkByName(bridgeName)
	if err != nil {
		return err
	}
	cable := &netlink.Veth{LinkAttrs: netlink.NewLinkAttrs(), PeerName: interfaceName, PeerNamespace: netlink.NsFd(host)}
	cable.Name = port
	cable.MasterIndex = bridge.Attrs().Index
	if err := netlink.LinkAdd(cable); err != nil {
		return err
	}
	return netlink.LinkSetUp(cable)
}

// configure runs in the host's namespace and gives it its addresses.
func (h *Host) configure() error {
	for _, name := range []string{"lo", interfaceName} {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
	}
	link, err := netlink.LinkByName(interfaceName)
	if err != nil {
		return err
	}
	for _, cidr := range []string{h.IPv4.String() + "/24", h.IPv6.String() + "/64"} {
		addr, err := netlink.ParseAddr(cidr)
		if err != nil {
			return err
		}
		if addr.IP.To4() == nil {
			addr.Flags = unix.IFA_F_NODAD // or the address would be unusable for a second
		}
		if err := netlink.AddrAdd(link, addr); err != nil {
			return err
		}
	}
	return waitUsable(link)
}

// waitUsable returns once no IPv6 address of link is tentative: the kernel
// notices the cable's other end a moment after both ends are up.
func waitUsable(link netlink.Link) error {
	for range 500 {
		addrs, err := netlink.AddrList(link, netlink.FAMILY_V6)
		if err != nil {
			return err
		}
		tentative := false
		for _, a := range addrs {
			tentative = tentative || a.Scope == unix.RT_SCOPE_UNIVERSE && a.Flags&unix.IFA_F_TENTATIVE != 0
		}
		if !tentative {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return errors.New("IPv6 address stays tentative")
}

func must(t testing.TB, doing string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v", doing, err)
	}
}
