package mesh

import (
	"fmt"
	"net/netip"
	"strconv"
)

// Version names one state of the catalog. Epoch changes when a server starts
// with nothing to continue from; Number grows within an epoch.
type Version struct {
	Epoch  uint64
	Number uint64
}

// String gives "epoch.number" with the epoch in hexadecimal.
func (v Version) String() string { return fmt.Sprintf("%x.%d", v.Epoch, v.Number) }

// Inbound is a proxy's own snapshot: what it is and what may come in.
type Inbound struct {
	Workload      WorkloadID
	Identity      Identity
	Name          string // how people call the instance
	Namespace     string
	Zone          string
	Node          string // the machine, where that matters, or ""
	ClusterDomain string // "cluster.local"
	// Networks are the mesh's own: an unknown destination inside them may be
	// meshed and is never passed in plain text.
	Networks []netip.Prefix
	Ports    []Port
	// Others is set where any port of the workload may be called, as on
	// Kubernetes. It holds for every port that is not in Ports: its Number and
	// the port of its Target are 0 and stand for the one that is called. The
	// proxy's own ports are never targets.
	Others *Port
}

// Port is one port of the workload that may be called.
type Port struct {
	// Number is the target port on the link.
	Number uint16
	// Target is where the application listens. The proxy dials it from the
	// same address.
	Target   netip.AddrPort
	Protocol Protocol
	// Services are those that lead here, sorted; the first one names the
	// port in metrics.
	Services []ServiceName
	Access   Access
}

// Target is what a client asked for: a name with a port, or an address with
// a port. Exactly one of Host and Addr is set.
type Target struct {
	Host string // lower case, without the port and without a last dot
	Addr netip.Addr
	Port uint16
}

// String gives "host:port".
func (t Target) String() string {
	if t.Host != "" {
		return t.Host + ":" + strconv.Itoa(int(t.Port))
	}
	return netip.AddrPortFrom(t.Addr, t.Port).String()
}

// DestinationKind says what the control plane knows about a target.
type DestinationKind uint8

const (
	// DestinationUnknown is in nobody's books. Inside the mesh's networks,
	// or under the mesh's names, it fails; elsewhere it is passed plainly.
	DestinationUnknown DestinationKind = iota
	// DestinationService is a service of the mesh.
	DestinationService
	// DestinationWorkload is one instance, called by its own address.
	DestinationWorkload
)

// Destination is everything a proxy needs to send requests to one target.
type Destination struct {
	Target   Target
	Kind     DestinationKind
	Service  ServiceName // zero when unknown
	Port     uint16      // the service's port
	Protocol Protocol
	// Route is used for HTTP. Opaque connections use Default alone.
	Route Route
	// Default is the index in Sets of the service's own endpoints, or -1.
	Default int
	// Sets are the endpoints of the service and of every backend in Route.
	Sets []EndpointSet
}

// Bundle is the trust anchors of the mesh: DER certificates, in the order in
// which they were added.
type Bundle struct {
	TrustDomain TrustDomain
	Anchors     [][]byte
}
