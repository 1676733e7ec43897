package plane

import (
	"fmt"
	"net/netip"
)

// Network is a network of /16, of which a cluster takes parts for its nodes,
// Services and pods. Clusters with different networks do not meet.
type Network struct{ netip.Prefix }

// MaxNodes is how many nodes have room in the network.
const MaxNodes = 9

// ParseNetwork reads a network such as "10.210.0.0/16".
func ParseNetwork(s string) (Network, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return Network{}, err
	}
	if p.Bits() != 16 || !p.Addr().Is4() || p != p.Masked() {
		return Network{}, fmt.Errorf("network %s: write an IPv4 network of length 16, such as 10.210.0.0/16", s)
	}
	return Network{p}, nil
}

// Gateway is the machine's address at the bridge.
func (n Network) Gateway() netip.Prefix { return n.part(0, 1, 24) }

// Node is the address of a node; the first is number 1 and has the control
// plane.
func (n Network) Node(number int) netip.Prefix { return n.part(0, 10+number, 24) }

// Services is where Services have their addresses.
func (n Network) Services() netip.Prefix { return n.part(64, 0, 18) }

// API is the address of the Service "kubernetes".
func (n Network) API() netip.Addr { return n.part(64, 1, 32).Addr() }

// DNS is the address of the Service "kube-dns".
func (n Network) DNS() netip.Addr { return n.part(64, 10, 32).Addr() }

// Pods is where all pods have their addresses.
func (n Network) Pods() netip.Prefix { return n.part(128, 0, 17) }

// PodsOf is the part of one node.
func (n Network) PodsOf(number int) netip.Prefix { return n.part(128+number, 0, 24) }

// Bridge is the name of the link that joins the nodes.
func (n Network) Bridge() string {
	a := n.Addr().As4()
	return fmt.Sprintf("leno%d-%d", a[0], a[1])
}

// Port is the name of a node's link at the bridge.
func (n Network) Port(number int) string { return fmt.Sprintf("%sn%d", n.Bridge(), number) }

func (n Network) part(third, fourth, bits int) netip.Prefix {
	a := n.Addr().As4()
	a[2], a[3] = byte(third), byte(fourth)
	return netip.PrefixFrom(netip.AddrFrom4(a), bits)
}
