package catalog

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/leno-mesh/leno/mesh"
)

// edit is the next index while it is made. Each of its methods takes the old
// and the new form of one resource, either of them nil, brings every table in
// line and notes what depends on the resource.
type edit struct {
	ix      *Index
	door    string
	touched Touched
	changed bool
}

func (e *edit) owns(door, what string) error {
	if door != e.door {
		return fmt.Errorf("%s was brought by door %q: take it away there first", what, door)
	}
	return nil
}

func (e *edit) service(old, now *Service) {
	var name mesh.ServiceName
	var from, to []netip.Addr
	if old != nil {
		name, from = old.Name, old.Addrs
		e.ix.services.drop(name)
	}
	if now != nil {
		name, to = now.Name, now.Addrs
		e.ix.services.set(name, now)
	}
	e.ix.serviceAt.move(name, from, to)
	e.touchService(name)
	e.touchAddrs(from)
	e.touchAddrs(to)
	e.touchServing(name)
}

func (e *edit) slice(old, now *EndpointSlice) {
	var key Key
	var services []mesh.ServiceName
	var from, to []netip.Addr
	if old != nil {
		key, from = old.Key, addrsOf(old)
		services = append(services, old.Service)
		e.ix.slices.drop(key)
		e.ix.slicesOf.remove(old.Service, key)
	}
	if now != nil {
		key, to = now.Key, addrsOf(now)
		services = append(services, now.Service)
		e.ix.slices.set(key, now)
		e.ix.slicesOf.add(now.Service, key)
	}
	e.ix.slicesAt.move(key, from, to)
	for _, s := range services {
		e.touchService(s)
	}
	for _, a := range differing(old, now) {
		e.touchAddrs([]netip.Addr{a})
		e.touchWorkloadsAt(a)
	}
}

func (e *edit) route(old, now *Route) {
	var key Key
	var from, to []mesh.ServiceName
	if old != nil {
		key, from = old.Key, parentsOf(old)
		e.ix.routes.drop(key)
	}
	if now != nil {
		key, to = now.Key, parentsOf(now)
		e.ix.routes.set(key, now)
	}
	e.ix.routesOf.move(key, from, to)
	for _, s := range slices.Concat(from, to) {
		e.touchService(s)
	}
}

func (e *edit) policy(old, now *Policy) {
	if old != nil {
		e.ix.policies.drop(old.Key)
		e.ix.policiesIn.remove(old.Key.Namespace, old.Key)
		e.touchSelected(old)
	}
	if now != nil {
		e.ix.policies.set(now.Key, now)
		e.ix.policiesIn.add(now.Key.Namespace, now.Key)
		e.touchSelected(now)
	}
	e.changed = true
}

func (e *edit) workload(old, now *Workload) {
	var id mesh.WorkloadID
	var addrs, newAddrs []netip.Addr
	var services, newServices []mesh.ServiceName
	if old != nil {
		id, addrs, services = old.ID, old.Addresses(), old.Offers()
		e.ix.workloads.drop(id)
	}
	if now != nil {
		id, newAddrs, newServices = now.ID, now.Addresses(), now.Offers()
		e.ix.workloads.set(id, now)
	}
	e.ix.workloadAt.move(id, addrs, newAddrs)
	e.ix.offeredBy.move(id, services, newServices)

	e.touchWorkload(id)
	for _, s := range slices.Concat(services, newServices) {
		e.touchService(s)
	}
	for _, a := range slices.Concat(addrs, newAddrs) {
		e.touchAddrs([]netip.Addr{a})
		// An address that a slice lists is meshed from now on, or no longer.
		for _, s := range e.ix.SlicesAt(a) {
			e.touchService(s.Service)
		}
		// The workloads of one address share its slices' ports.
		e.touchWorkloadsAt(a)
	}
}

// touchServing touches the workloads behind a service: what their ports are
// called and which policies select them depends on it.
func (e *edit) touchServing(s mesh.ServiceName) {
	for _, id := range e.ix.offeredBy.of(s) {
		e.touchWorkload(id)
	}
	for _, sl := range e.ix.SlicesOf(s) {
		for _, ep := range sl.Endpoints {
			e.touchWorkloadsAt(ep.Addr)
		}
	}
}

// touchSelected touches the workloads that a policy selects. Selecting by
// label walks all workloads: policies change seldom.
func (e *edit) touchSelected(p *Policy) {
	for _, s := range p.Services {
		e.touchServing(s)
	}
	if len(p.Services) > 0 {
		return
	}
	for id, w := range e.ix.workloads.all() {
		if p.Selects(w) {
			e.touchWorkload(id)
		}
	}
}

// Selects says whether a policy without services selects the workload.
func (p *Policy) Selects(w *Workload) bool {
	if w.Namespace != p.Key.Namespace || len(p.Services) > 0 {
		return false
	}
	for k, v := range p.Selector {
		if have, ok := w.Registration.Labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}

func (e *edit) touchWorkloadsAt(a netip.Addr) {
	for _, id := range e.ix.workloadAt.of(a) {
		e.touchWorkload(id)
	}
}

func addrsOf(s *EndpointSlice) []netip.Addr {
	as := make([]netip.Addr, len(s.Endpoints))
	for i, ep := range s.Endpoints {
		as[i] = ep.Addr
	}
	return as
}

// differing gives the addresses of two states of a slice for which something
// is different: a slice has up to a thousand endpoints, and mostly one of them
// changes. Either state may be nil.
func differing(old, now *EndpointSlice) (as []netip.Addr) {
	same := old != nil && now != nil && old.Service == now.Service && slices.Equal(old.Ports, now.Ports)
	was, is := map[SliceEndpoint]bool{}, map[SliceEndpoint]bool{}
	if same {
		for _, ep := range old.Endpoints {
			was[ep] = true
		}
		for _, ep := range now.Endpoints {
			is[ep] = true
		}
	}
	if old != nil {
		for _, ep := range old.Endpoints {
			if !is[ep] {
				as = append(as, ep.Addr)
			}
		}
	}
	if now != nil {
		for _, ep := range now.Endpoints {
			if !was[ep] {
				as = append(as, ep.Addr)
			}
		}
	}
	return as
}

func parentsOf(r *Route) []mesh.ServiceName {
	ps := make([]mesh.ServiceName, len(r.Parents))
	for i, p := range r.Parents {
		ps[i] = p.Service
	}
	return ps
}
