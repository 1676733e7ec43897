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

// endpoints gives all endpoints of a service's port, registered and listed,
// ordered by address and workload. The same place is never there twice.
func endpoints(ix *catalog.Index, name mesh.ServiceName, port uint16) []mesh.Endpoint {
	es := registeredEndpoints(ix, name, port)
	es = append(es, listedEndpoints(ix, name, port)...)
	slices.SortStableFunc(es, func(a, b mesh.Endpoint) int {
		return cmp.Or(a.Addr.Compare(b.Addr), cmp.Compare(a.Workload, b.Workload))
	})
	return slices.CompactFunc(es, func(a, b mesh.Endpoint) bool {
		return a.Addr == b.Addr && a.Workload == b.Workload
	})
}

func registeredEndpoints(ix *catalog.Index, name mesh.ServiceName, port uint16) []mesh.Endpoint {
	var es []mesh.Endpoint
	for _, w := range ix.WorkloadsOf(name) {
		for _, p := range w.Registration.Services {
			if p.Service == name.Name && p.Port == port {
				es = append(es, meshedEndpoint(w, p.Target.Port()))
			}
		}
	}
	return es
}

func listedEndpoints(ix *catalog.Index, name mesh.ServiceName, port uint16) []mesh.Endpoint {
	svc := ix.Service(name)
	if svc == nil {
		return nil
	}
	var es []mesh.Endpoint
	for _, p := range svc.Ports {
		if p.Port != port {
			continue
		}
		for _, sl := range ix.SlicesOf(name) {
			for _, sp := range sl.Ports {
				if sp.Name == p.Name {
					es = append(es, sliceEndpoints(ix, sl, sp.Port)...)
				}
			}
		}
	}
	return es
}

func sliceEndpoints(ix *catalog.Index, sl *catalog.EndpointSlice, port uint16) []mesh.Endpoint {
	es := make([]mesh.Endpoint, 0, len(sl.Endpoints))
	for _, se := range sl.Endpoints {
		e := mesh.Endpoint{Addr: netip.AddrPortFrom(se.Addr, port), Name: se.Name, Zone: se.Zone, State: se.State}
		if w := owner(ix, se.Addr, port); w != nil {
			e = meshedEndpoint(w, port)
			e.State = max(e.State, se.State) // the worse of both
			e.Zone = cmp.Or(e.Zone, se.Zone)
		}
		es = append(es, e)
	}
	return es
}

// meshedEndpoint is reached through the workload's proxy. Its address is the
// workload's even when the application listens on loopback.
func meshedEndpoint(w *catalog.Workload, port uint16) mesh.Endpoint {
	r := w.Registration
	return mesh.Endpoint{
		Addr:     netip.AddrPortFrom(r.Addr, port),
		Proxy:    netip.AddrPortFrom(r.Addr, r.ProxyPort),
		Identity: w.Identity,
		Workload: w.ID,
		Name:     r.Name,
		Zone:     r.Zone,
		State:    w.State,
	}
}
