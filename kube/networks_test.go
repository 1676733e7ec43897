package kube

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"github.com/leno-mesh/leno/control/catalog"
)

func TestNetworks(t *testing.T) {
	prefixes := func(ss ...string) (out []netip.Prefix) {
		for _, s := range ss {
			out = append(out, netip.MustParsePrefix(s))
		}
		return out
	}
	addrs := func(ss ...string) (out []netip.Addr) {
		for _, s := range ss {
			out = append(out, netip.MustParseAddr(s))
		}
		return out
	}
	tests := []struct {
		name       string
		configured []netip.Prefix
		services   []netip.Addr
		pods, want []netip.Prefix
	}{
		{name: "nothing is known"},
		{name: "the first Service", services: addrs("10.96.0.1"), want: prefixes("10.96.0.1/32")},
		{name: "two Services", services: addrs("10.96.0.1", "10.96.0.10"), want: prefixes("10.96.0.0/28")},
		{name: "two ranges of Services", services: addrs("10.96.0.1", "10.96.0.2", "10.200.0.7"), want: prefixes("10.96.0.0/30", "10.200.0.7/32")},
		{
			name: "both families", services: addrs("10.96.0.1", "fd00::1", "fd00::2"),
			want: prefixes("10.96.0.1/32", "fd00::/126"),
		},
		{name: "one node", pods: prefixes("10.244.1.0/24"), want: prefixes("10.244.1.0/24")},
		{name: "nodes", pods: prefixes("10.244.1.0/24", "10.244.2.0/24", "10.244.130.0/24"), want: prefixes("10.244.0.0/16")},
		{
			name: "a range larger than a group", pods: prefixes("10.4.1.0/24", "10.5.1.0/24", "10.5.2.0/24"),
			want: prefixes("10.4.1.0/24", "10.5.0.0/22"),
		},
		{name: "a node with a network larger than a group", pods: prefixes("10.0.0.0/8"), want: prefixes("10.0.0.0/8")},
		{name: "pods and Services are apart", pods: prefixes("10.0.1.0/24"), services: addrs("10.0.200.1"), want: prefixes("10.0.1.0/24", "10.0.200.1/32")},
		{name: "the operator's hold the rest", configured: prefixes("10.0.0.0/8"), pods: prefixes("10.244.1.0/24"), services: addrs("192.168.0.1"), want: prefixes("10.0.0.0/8", "192.168.0.1/32")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []netip.Prefix
			if put, ok := networks(tt.configured, tt.services, tt.pods).(catalog.PutNetworks); ok {
				got = put.Networks.Prefixes
			}
			same(t, got, tt.want)
		})
	}
}

// TestCoverStaysInside draws addresses from one range: the cover must hold
// all of them and nothing outside of the range.
func TestCoverStaysInside(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		whole := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 96, 0, 0}), rapid.IntRange(8, 32).Draw(t, "bits")).Masked()
		var all []netip.Prefix
		for range rapid.IntRange(1, 20).Draw(t, "addresses") {
			b := whole.Addr().As4()
			for i, n := range rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "address") {
				b[i] |= n & (0xff >> min(max(whole.Bits()-8*i, 0), 8)) // only host bits
			}
			all = append(all, netip.PrefixFrom(netip.AddrFrom4(b), 32))
		}
		covered := cover(all)
		for _, p := range covered {
			if !contains(whole, p) {
				t.Fatalf("%v reaches out of %v", p, whole)
			}
		}
		for _, p := range all {
			held := false
			for _, c := range covered {
				held = held || contains(c, p)
			}
			if !held {
				t.Fatalf("%v is not in %v", p, covered)
			}
		}
	})
}
