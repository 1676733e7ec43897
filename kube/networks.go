package kube

import (
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/leno-mesh/leno/control/catalog"
)

const zoneLabel = "topology.kubernetes.io/zone"

// node is what is kept of a Node.
type node struct {
	zone  string
	addrs []netip.Addr
	pods  []netip.Prefix // the networks of its pods
}

func nodeOf(n *corev1.Node) *node {
	out := &node{zone: n.Labels[zoneLabel]}
	for _, a := range n.Status.Addresses {
		if addr, err := netip.ParseAddr(a.Address); err == nil && !slices.Contains(out.addrs, addr.Unmap()) {
			out.addrs = append(out.addrs, addr.Unmap())
		}
	}
	cidrs := n.Spec.PodCIDRs
	if len(cidrs) == 0 {
		cidrs = []string{n.Spec.PodCIDR}
	}
	for _, s := range cidrs {
		if p, err := netip.ParsePrefix(s); err == nil {
			out.pods = append(out.pods, p.Masked())
		}
	}
	return out
}

// networks gives the mesh's own: what the operator says, and those of Services
// and of nodes' pods as far as the cluster shows them.
//
// The API server tells nobody the whole range that it takes addresses from.
// But it is one prefix, so what all known addresses have in common lies inside
// it and can be claimed without taking in anything from outside; and the more
// is known, the more is claimed. docs/decisions/0014-networks-on-kubernetes.md
func networks(configured []netip.Prefix, services []netip.Addr, pods []netip.Prefix) catalog.Change {
	known := slices.Clone(pods)
	for _, a := range services {
		known = append(known, netip.PrefixFrom(a, a.BitLen()))
	}
	all := slices.Clone(configured)
	for _, p := range slices.Concat(cover(known[:len(pods)]), cover(known[len(pods):])) {
		if !slices.ContainsFunc(all, func(q netip.Prefix) bool { return contains(q, p) }) {
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return catalog.PutNetworks{Networks: catalog.Networks{Prefixes: all}}
}

// How far apart addresses may be to count as one range. Clusters with several
// ranges have them farther apart than this, as a rule; ranges that are larger
// come out in parts.
const (
	groupBits4 = 16
	groupBits6 = 48
)

// cover gives the smallest prefixes that hold all those given, at least one
// for each group.
func cover(all []netip.Prefix) []netip.Prefix {
	groups := make(map[netip.Prefix]netip.Prefix)
	for _, p := range all {
		g := group(p)
		if have, ok := groups[g]; ok {
			p = common(have, p)
		}
		groups[g] = p
	}
	out := make([]netip.Prefix, 0, len(groups))
	for _, p := range groups {
		out = append(out, p)
	}
	slices.SortFunc(out, netip.Prefix.Compare)
	return out
}

func group(p netip.Prefix) netip.Prefix {
	bits := groupBits6
	if p.Addr().Is4() {
		bits = groupBits4
	}
	return netip.PrefixFrom(p.Addr(), min(bits, p.Bits())).Masked()
}

// common gives the longest prefix that holds both, which are of one family.
func common(a, b netip.Prefix) netip.Prefix {
	for a = netip.PrefixFrom(a.Addr(), min(a.Bits(), b.Bits())).Masked(); !a.Contains(b.Addr()); {
		a = netip.PrefixFrom(a.Addr(), a.Bits()-1).Masked()
	}
	return a
}

func contains(a, b netip.Prefix) bool { return a.Bits() <= b.Bits() && a.Contains(b.Addr()) }
