package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"

	"github.com/leno-mesh/leno/test/cluster/plane"
)

// The networks that are tried when none is named.
const firstNetwork, lastNetwork = 210, 249

// claim finds a network and makes its bridge. The bridge's name is the claim:
// of two who try, one gets it.
func claim(wanted string) (plane.Network, error) {
	if wanted != "" {
		network, err := plane.ParseNetwork(wanted)
		if err != nil {
			return network, err
		}
		return network, addBridge(network)
	}
	for i := firstNetwork; i <= lastNetwork; i++ {
		network, err := plane.ParseNetwork(fmt.Sprintf("10.%d.0.0/16", i))
		if err != nil {
			return network, err
		}
		err = addBridge(network)
		if !errors.Is(err, errTaken) {
			return network, err
		}
	}
	return plane.Network{}, fmt.Errorf("all networks from 10.%d.0.0/16 to 10.%d.0.0/16 are in use: choose one with -network", firstNetwork, lastNetwork)
}

var errTaken = errors.New("the network is in use on this machine")

func addBridge(network plane.Network) error {
	if taken, err := inUse(network.Prefix); err != nil {
		return err
	} else if taken {
		return fmt.Errorf("%s: %w", network, errTaken)
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = network.Bridge()
	bridge := &netlink.Bridge{LinkAttrs: attrs}
	if err := netlink.LinkAdd(bridge); errors.Is(err, syscall.EEXIST) {
		return fmt.Errorf("bridge %s: %w", attrs.Name, errTaken)
	} else if err != nil {
		return fmt.Errorf("making the bridge %s (this needs root): %w", attrs.Name, err)
	}
	gateway := network.Gateway()
	address := &netlink.Addr{IPNet: &net.IPNet{IP: gateway.Addr().AsSlice(), Mask: net.CIDRMask(gateway.Bits(), 32)}}
	if err := netlink.AddrAdd(bridge, address); err != nil {
		return err
	}
	return netlink.LinkSetUp(bridge)
}

// inUse says whether the machine has routes into the network already.
func inUse(network netip.Prefix) (bool, error) {
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return false, err
	}
	for _, r := range routes {
		if r.Dst == nil {
			continue
		}
		address, ok := netip.AddrFromSlice(r.Dst.IP)
		ones, _ := r.Dst.Mask.Size()
		if ok && ones > 0 && netip.PrefixFrom(address.Unmap(), ones).Overlaps(network) {
			return true, nil
		}
	}
	return false, nil
}

// addRoutes lead the machine to pods and Services.
func addRoutes(network plane.Network, nodes int) error {
	if err := addRoute(network.Services(), network.Node(1).Addr()); err != nil {
		return err
	}
	for i := 1; i <= nodes; i++ {
		if err := addRoute(network.PodsOf(i), network.Node(i).Addr()); err != nil {
			return err
		}
	}
	return nil
}

func addRoute(to netip.Prefix, via netip.Addr) error {
	route := &netlink.Route{
		Dst: &net.IPNet{IP: to.Addr().AsSlice(), Mask: net.CIDRMask(to.Bits(), 32)},
		Gw:  via.AsSlice(),
	}
	if err := netlink.RouteReplace(route); err != nil {
		return fmt.Errorf("route to %s: %w", to, err)
	}
	return nil
}
