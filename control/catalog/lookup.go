package catalog

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/leno-mesh/leno/mesh"
)

// Settings gives the facts about the mesh, with the networks of all doors.
func (ix *Index) Settings() Settings { return ix.settings }

// Version names this state.
func (ix *Index) Version() mesh.Version { return ix.version }

// Known says whether somebody declared or registered the service.
func (ix *Index) Known(s mesh.ServiceName) bool {
	return ix.Service(s) != nil || len(ix.offeredBy.of(s)) > 0
}

// Service gives the declared service, or nil.
func (ix *Index) Service(s mesh.ServiceName) *Service {
	v, _ := ix.services.get(s)
	return v
}

// ServicesAt gives the declared services with that address, by name.
func (ix *Index) ServicesAt(a netip.Addr) []*Service {
	return resolve(&ix.services, ix.serviceAt.of(a))
}

// SlicesOf gives the endpoint slices of a service, by key.
func (ix *Index) SlicesOf(s mesh.ServiceName) []*EndpointSlice {
	return resolve(&ix.slices, ix.slicesOf.of(s))
}

// SlicesAt gives the endpoint slices that list an address, by key.
func (ix *Index) SlicesAt(a netip.Addr) []*EndpointSlice {
	return resolve(&ix.slices, ix.slicesAt.of(a))
}

// RoutesOf gives the routes with that service as a parent, by key.
func (ix *Index) RoutesOf(s mesh.ServiceName) []*Route {
	return resolve(&ix.routes, ix.routesOf.of(s))
}

// PoliciesIn gives the policies of a namespace, by key.
func (ix *Index) PoliciesIn(namespace string) []*Policy {
	return resolve(&ix.policies, ix.policiesIn.of(namespace))
}

// Workload gives a workload, or nil.
func (ix *Index) Workload(id mesh.WorkloadID) *Workload {
	v, _ := ix.workloads.get(id)
	return v
}

// WorkloadsAt gives the workloads with that address, by ID.
func (ix *Index) WorkloadsAt(a netip.Addr) []*Workload {
	return resolve(&ix.workloads, ix.workloadAt.of(a))
}

// WorkloadsOf gives the workloads that registered the service, by ID.
func (ix *Index) WorkloadsOf(s mesh.ServiceName) []*Workload {
	return resolve(&ix.workloads, ix.offeredBy.of(s))
}

// Services gives the names of all known services, sorted. It walks the whole
// index: it is for people who ask, not for snapshots.
func (ix *Index) Services() []mesh.ServiceName {
	names := make(map[mesh.ServiceName]struct{}, ix.services.n)
	for k := range ix.services.all() {
		names[k] = struct{}{}
	}
	for k := range ix.offeredBy.all() {
		names[k] = struct{}{}
	}
	return slices.SortedFunc(maps.Keys(names), mesh.ServiceName.Compare)
}

// Workloads gives all workloads, sorted by ID. It walks the whole index.
func (ix *Index) Workloads() []*Workload {
	all := make(map[mesh.WorkloadID]*Workload, ix.workloads.n)
	maps.Insert(all, ix.workloads.all())
	return resolveAll(all)
}

// Count says how many resources of each kind there are.
func (ix *Index) Count() (services, endpointSlices, routes, policies, workloads int) {
	return ix.services.n, ix.slices.n, ix.routes.n, ix.policies.n, ix.workloads.n
}

func resolve[K comparable, V any](t *table[K, *V], keys []K) []*V {
	if len(keys) == 0 {
		return nil
	}
	vs := make([]*V, 0, len(keys))
	for _, k := range keys {
		if v, ok := t.get(k); ok {
			vs = append(vs, v)
		}
	}
	return vs
}

func resolveAll(all map[mesh.WorkloadID]*Workload) []*Workload {
	ids := slices.Sorted(maps.Keys(all))
	ws := make([]*Workload, len(ids))
	for i, id := range ids {
		ws[i] = all[id]
	}
	return ws
}
