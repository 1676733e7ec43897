package catalog

import (
	"cmp"
	"net/netip"
	"time"

	"github.com/leno-mesh/leno/mesh"
)

// Key names a resource that is not called by clients: a route, a policy, an
// endpoint slice.
type Key struct {
	Namespace string
	Name      string
}

// String gives "namespace/name".
func (k Key) String() string { return k.Namespace + "/" + k.Name }

// Compare orders keys by namespace, then by name.
func (k Key) Compare(o Key) int {
	return cmp.Or(cmp.Compare(k.Namespace, o.Namespace), cmp.Compare(k.Name, o.Name))
}

// Service is a service that somebody declared. A service that is only
// registered by workloads has none of these; see [Index.Known].
type Service struct {
	Door string // set by the catalog
	Name mesh.ServiceName
	// Addrs are the addresses at which clients find the service, without
	// those of its endpoints. Kubernetes calls them cluster IPs.
	Addrs []netip.Addr
	Ports []ServicePort
	// NodeLocal services are reached at endpoints on the caller's node only.
	NodeLocal bool
	// Alias is another name for which this one stands (externalName), in lower
	// case and without a last dot. Such a service has no endpoints of its own.
	Alias string
}

// ServicePort is one port of a Service. Its endpoints are found in the
// service's slices under the same name.
type ServicePort struct {
	Name     string // "" when the service has only one port
	Port     uint16
	Protocol mesh.Protocol
}

// EndpointSlice is a part of a service's endpoints.
type EndpointSlice struct {
	Door      string // set by the catalog
	Key       Key
	Service   mesh.ServiceName
	Ports     []SlicePort
	Endpoints []SliceEndpoint
}

// SlicePort is the port at which all endpoints of a slice serve the service
// port of that name.
type SlicePort struct {
	Name     string
	Port     uint16 // the target port
	Protocol mesh.Protocol
}

// SliceEndpoint is one address. Whether it is meshed is not said here: it is
// when a workload has that address.
type SliceEndpoint struct {
	Addr  netip.Addr
	Name  string
	Zone  string
	State mesh.EndpointState
	// Near and Node are where callers should be, and where it is: see
	// mesh.Endpoint.
	Near string
	Node string
	// Unready endpoints get no requests. They are listed all the same: the
	// policies of the service hold for them.
	Unready bool
}

// Route is one HTTPRoute.
type Route struct {
	Door    string // set by the catalog
	Key     Key
	Created time.Time // zero when unknown; older routes go first
	Parents []Parent
	// Rules as written: Set in their backends means nothing yet, and Name is
	// the index of the rule alone.
	Rules []mesh.Rule
}

// Parent is a service whose requests the route takes.
type Parent struct {
	Service mesh.ServiceName
	Port    uint16 // 0: every port
}

// Policy is one AccessPolicy. Exactly one of Services and Selector is used: a
// policy without Services selects the workloads of its namespace by label,
// all of them when Selector is empty.
type Policy struct {
	Door     string // set by the catalog
	Key      Key
	Services []mesh.ServiceName
	Selector map[string]string
	// Ports are the service's ports with Services, the workload's own with
	// Selector. None means every port.
	Ports []uint16
	Audit bool
	Allow []Caller
}

// Caller is one entry of a policy's list. The trust domain is only known to
// the server, so that a short form stays short until it is compiled.
type Caller struct {
	Any      bool          // every authenticated caller
	Identity mesh.Identity // in full; may end in "/*"
	// Namespace and ServiceAccount are a short form of the mesh's own trust
	// domain. The account "*" is every account of the namespace.
	Namespace      string
	ServiceAccount string
}

// Workload is one running instance that has a proxy.
type Workload struct {
	Door           string // set by the catalog
	ID             mesh.WorkloadID
	Identity       mesh.Identity
	Namespace      string
	ServiceAccount string
	Registration   mesh.Registration
	State          mesh.EndpointState
	// Addrs are further addresses of the workload, beside the registration's.
	Addrs []netip.Addr
	// AnyPort says that every port may be called and not only those that are
	// registered or listed, as on Kubernetes.
	AnyPort bool
	// Hints say what some of its ports speak, sorted by number.
	Hints []PortHint
	// Uncaptured are ports that go past the proxy: they are called plainly.
	Uncaptured []PortRange
	// Owner is what keeps the workload running, "deployment/web", or "".
	Owner string
	// Node is the machine on which it runs, or "".
	Node string
}

// PortHint says what one port of a workload speaks.
type PortHint struct {
	Port     uint16
	Protocol mesh.Protocol
}

// PortRange is the ports from First to Last, both included.
type PortRange struct{ First, Last uint16 }

// Addresses gives all addresses of the workload, the main one first.
func (w *Workload) Addresses() []netip.Addr {
	return append([]netip.Addr{w.Registration.Addr}, w.Addrs...)
}

// Captures says whether what comes in at a port goes through the proxy.
func (w *Workload) Captures(port uint16) bool {
	for _, r := range w.Uncaptured {
		if r.First <= port && port <= r.Last {
			return false
		}
	}
	return true
}

// Hint gives what the workload says of a port, or Detect.
func (w *Workload) Hint(port uint16) mesh.Protocol {
	for _, h := range w.Hints {
		if h.Port == port {
			return h.Protocol
		}
	}
	return mesh.Detect
}

// Outsider is something that is known to have no proxy: a pod outside the
// mesh, a node. It is called plainly, at any port.
type Outsider struct {
	Door  string // set by the catalog
	ID    string // "pod/shop/web-0", "node/n1"
	Name  string // how people call it
	Zone  string
	Addrs []netip.Addr
}

// Networks are the networks that a door knows to be the mesh's own. They are
// added to those of the settings.
type Networks struct {
	Door     string // set by the catalog
	Prefixes []netip.Prefix
}

// Offers gives the services that the workload registered, in full and without
// duplicates, in the order of the registration.
func (w *Workload) Offers() []mesh.ServiceName {
	var names []mesh.ServiceName
	seen := make(map[string]bool, len(w.Registration.Services))
	for _, p := range w.Registration.Services {
		if !seen[p.Service] {
			seen[p.Service] = true
			names = append(names, mesh.ServiceName{Namespace: w.Namespace, Name: p.Service})
		}
	}
	return names
}
