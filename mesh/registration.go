package mesh

import "net/netip"

// Registration is what a proxy outside Kubernetes says about its workload
// when it joins. The control plane keeps only what the join token allows.
type Registration struct {
	// Name is how people call the instance, "payments-1".
	Name string
	// Addr is the workload's own address, at which its proxy listens.
	Addr netip.Addr
	// ProxyPort is the port of the inbound listener at Addr.
	ProxyPort uint16
	// AdminPort serves /metrics at Addr.
	AdminPort uint16
	Zone      string
	Labels    map[string]string
	Services  []RegisteredPort
}

// RegisteredPort is one service that the workload offers.
type RegisteredPort struct {
	Service string // the name alone; the namespace is the identity's
	// Port is the service's port, what clients ask for.
	Port uint16
	// Target is where the application listens. Its address is the
	// registration's Addr, or a loopback address when the workload says so.
	Target   netip.AddrPort
	Protocol Protocol
	// Starting says that nothing listens at Target yet.
	Starting bool
}

// Starting says whether nothing listens at a port of the workload yet.
func (r *Registration) Starting(target uint16) bool {
	for i := range r.Services {
		if p := &r.Services[i]; p.Starting && p.Target.Port() == target {
			return true
		}
	}
	return false
}
