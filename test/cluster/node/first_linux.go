package node

import (
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/vishvananda/netlink"
)

const (
	// argument makes this program the first process of a node.
	argument = "node"
	// settled is what it answers when all went well.
	settled = "settled"
	// inside is the node's link in its own network.
	inside = "eth0"
)

// Main is the life of a node's first process, if this is one: the program's
// arguments tell. It does not return then.
func Main() {
	if len(os.Args) != 3 || os.Args[1] != argument || os.Getpid() != 1 {
		return
	}
	s, err := enter(os.Args[2])
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(settled)
	os.Stdout.Close()
	newKeeper(s).run()
}

// enter waits until the network is there, and makes the namespaces a node.
func enter(file string) (Spec, error) {
	s, err := readSpec(file)
	if err != nil {
		return s, err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return s, err
	}
	if err := syscall.Sethostname([]byte(s.Name)); err != nil {
		return s, fmt.Errorf("host name: %w", err)
	}
	if err := mountAll(s); err != nil {
		return s, err
	}
	return s, configure(s)
}

// configure gives the node its address and routes.
func configure(s Spec) error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return err
	}
	link, err := netlink.LinkByName(inside)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(link, &netlink.Addr{IPNet: ipNet(s.Address)}); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return err
	}
	if err := netlink.RouteAdd(&netlink.Route{Gw: s.Gateway.AsSlice()}); err != nil {
		return fmt.Errorf("default route: %w", err)
	}
	for _, r := range s.Routes {
		if err := netlink.RouteAdd(&netlink.Route{Dst: ipNet(r.To), Gw: r.Via.AsSlice()}); err != nil {
			return fmt.Errorf("route to %s: %w", r.To, err)
		}
	}
	return sysctls(map[string]string{
		"net/ipv4/ip_forward":             "1",
		"net/ipv4/conf/all/rp_filter":     "0", // the machine's settings were inherited
		"net/ipv4/conf/default/rp_filter": "0",
	})
}

// sysctls are those of the node's network only.
func sysctls(values map[string]string) error {
	for name, value := range values {
		if err := os.WriteFile("/proc/sys/"+name, []byte(value), 0o644); err != nil {
			return err
		}
	}
	return nil
}
