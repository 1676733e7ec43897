package plane

import (
	"net/netip"
	"testing"
)

func TestNetworkRefusesWhatHasNoRoom(t *testing.T) {
	for _, s := range []string{"", "10.210.0.0", "10.210.0.0/24", "10.210.1.0/16", "fd00::/16"} {
		if n, err := ParseNetwork(s); err == nil {
			t.Errorf("%q was read as %s", s, n)
		}
	}
}

func TestPartsOfANetworkDoNotMeet(t *testing.T) {
	n, err := ParseNetwork("172.30.0.0/16")
	if err != nil {
		t.Fatal(err)
	}
	parts := map[string]netip.Prefix{"nodes": n.Gateway().Masked(), "services": n.Services(), "pods": n.Pods()}
	for a, part := range parts {
		if !n.Contains(part.Addr()) {
			t.Errorf("%s %s are outside the network", a, part)
		}
		for b, other := range parts {
			if a != b && part.Overlaps(other) {
				t.Errorf("%s %s meet %s %s", a, part, b, other)
			}
		}
	}
	if !n.Services().Contains(n.API()) || !n.Services().Contains(n.DNS()) {
		t.Error("the first Services are outside their network")
	}
	for i := 1; i <= MaxNodes; i++ {
		if !n.Gateway().Masked().Contains(n.Node(i).Addr()) || !n.Pods().Overlaps(n.PodsOf(i)) {
			t.Errorf("node %d is outside the network", i)
		}
		if len(n.Port(i)) > 15 {
			t.Errorf("%s is longer than the name of a link may be", n.Port(i))
		}
	}
}
