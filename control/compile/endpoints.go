package compile

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
)

// servicePort says whether a service has a port, and what it is known to
// speak: what was declared, else what all registrations agree on.
func servicePort(ix *catalog.Index, name mesh.ServiceName, port uint16) (mesh.Protocol, bool) {
	var said []mesh.Protocol
	known := false
	if svc := ix.Service(name); svc != nil {
		for _, p := range svc.Ports {
			if p.Port != port {
				continue
			}
			if p.Protocol != mesh.Detect {
				return p.Protocol, true
			}
			known = true
			said = append(said, sliceProtocols(ix, name, p.Name)...)
		}
	}
	for _, w := range ix.WorkloadsOf(name) {
		for _, p := range w.Registration.Services {
			if p.Service == name.Name && p.Port == port {
				known = true
				said = append(said, p.Protocol)
			}
		}
	}
	if known && len(said) == 0 || allDetect(said) {
		said = workloadHints(ix, name, port)
	}
	slices.Sort(said)
	if said = slices.Compact(said); len(said) == 1 {
		return said[0], known
	}
	return mesh.Detect, known
}

func sliceProtocols(ix *catalog.Index, name mesh.ServiceName, portName string) []mesh.Protocol {
	var said []mesh.Protocol
	for _, sl := range ix.SlicesOf(name) {
		for _, p := range sl.Ports {
			if p.Name == portName {
				said = append(said, p.Protocol)
			}
		}
	}
	return said
}

func allDetect(ps []mesh.Protocol) bool {
	return !slices.ContainsFunc(ps, func(p mesh.Protocol) bool { return p != mesh.Detect })
}

// workloadHints gives what the workloads behind a declared port say about it.
func workloadHints(ix *catalog.Index, name mesh.ServiceName, port uint16) []mesh.Protocol {
	var said []mesh.Protocol
	for _, t := range targets(ix, ix.Service(name), port) {
		for _, se := range t.slice.Endpoints {
			if w := owner(ix, se.Addr, t.port); w != nil {
				said = append(said, w.Hint(t.port))
			}
		}
	}
	return said
}

// endpoints gives all endpoints of a service's port, registered and listed,
// ordered by address and workload. The same place is never there twice, and
// an instance with addresses of both families once.
func endpoints(ix *catalog.Index, name mesh.ServiceName, port uint16) []mesh.Endpoint {
	es := registeredEndpoints(ix, name, port)
	es = append(es, oneFamily(ix.Service(name), listedEndpoints(ix, name, port))...)
	slices.SortStableFunc(es, func(a, b mesh.Endpoint) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Workload, b.Workload))
	})
	return slices.CompactFunc(es, func(a, b mesh.Endpoint) bool {
		return a.Addr == b.Addr && a.Workload == b.Workload
	})
}

// oneFamily leaves out the second address of instances that are listed with
// one of each family. The family of the service's first address is kept.
func oneFamily(svc *catalog.Service, es []mesh.Endpoint) []mesh.Endpoint {
	type place struct {
		name     string
		workload mesh.WorkloadID
		port     uint16
	}
	prefer4 := svc == nil || len(svc.Addrs) == 0 || svc.Addrs[0].Is4()
	kept := make(map[place]bool)
	for _, e := range es {
		if e.Addr.Addr().Is4() == prefer4 {
			kept[place{e.Name, e.Workload, e.Addr.Port()}] = true
		}
	}
	return slices.DeleteFunc(es, func(e mesh.Endpoint) bool {
		return e.Addr.Addr().Is4() != prefer4 && e.Name != "" && kept[place{e.Name, e.Workload, e.Addr.Port()}]
	})
}

func registeredEndpoints(ix *catalog.Index, name mesh.ServiceName, port uint16) []mesh.Endpoint {
	var es []mesh.Endpoint
	for _, w := range ix.WorkloadsOf(name) {
		for _, p := range w.Registration.Services {
			if p.Service == name.Name && p.Port == port {
				// The workload's own address even when it listens on loopback.
				es = append(es, endpointOf(w, netip.AddrPortFrom(w.Registration.Addr, p.Target.Port())))
			}
		}
	}
	return es
}

func listedEndpoints(ix *catalog.Index, name mesh.ServiceName, port uint16) []mesh.Endpoint {
	var es []mesh.Endpoint
	svc := ix.Service(name)
	for _, t := range targets(ix, svc, port) {
		es = append(es, sliceEndpoints(ix, t.slice, t.port, svc.NodeLocal)...)
	}
	return es
}

// sliceTarget is a slice with the port at which its endpoints serve.
type sliceTarget struct {
	slice *catalog.EndpointSlice
	port  uint16
}

// targets gives where a declared service's port leads; svc may be nil.
func targets(ix *catalog.Index, svc *catalog.Service, port uint16) (ts []sliceTarget) {
	if svc == nil {
		return nil
	}
	for _, p := range svc.Ports {
		if p.Port != port {
			continue
		}
		for _, sl := range ix.SlicesOf(svc.Name) {
			for _, sp := range sl.Ports {
				if sp.Name == p.Name {
					ts = append(ts, sliceTarget{sl, sp.Port})
				}
			}
		}
	}
	return ts
}

func sliceEndpoints(ix *catalog.Index, sl *catalog.EndpointSlice, port uint16, nodeLocal bool) []mesh.Endpoint {
	es := make([]mesh.Endpoint, 0, len(sl.Endpoints))
	for _, se := range sl.Endpoints {
		e := mesh.Endpoint{Addr: netip.AddrPortFrom(se.Addr, port), Name: se.Name, Zone: se.Zone, State: se.State}
		if se.Unready {
			continue
		}
		if w := owner(ix, se.Addr, port); w != nil {
			e = endpointOf(w, e.Addr)
			e.State = max(e.State, se.State) // the worse of both
			e.Zone = cmp.Or(e.Zone, se.Zone)
		}
		e.Near = se.Near
		if nodeLocal && se.Node != "" {
			e.Near, e.Only = mesh.NearNode(se.Node), true
		}
		es = append(es, e)
	}
	return es
}

// endpointOf is reached through the workload's proxy, but for ports that do
// not lead there: on Kubernetes the proxy's own pages, and what the workload
// keeps out of the mesh.
func endpointOf(w *catalog.Workload, at netip.AddrPort) mesh.Endpoint {
	r := w.Registration
	e := mesh.Endpoint{Addr: at, Name: r.Name, Zone: r.Zone, State: w.State}
	if w.State == mesh.Ready && r.Starting(at.Port()) {
		e.State = mesh.Starting
	}
	if w.AnyPort && at.Port() == r.AdminPort || !w.Captures(at.Port()) {
		return e
	}
	e.Proxy = netip.AddrPortFrom(at.Addr(), r.ProxyPort)
	e.Identity, e.Workload = w.Identity, w.ID
	return e
}
