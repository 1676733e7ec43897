package catalog

import (
	"cmp"
	"fmt"
	"net/netip"

	"github.com/leno-mesh/leno/mesh"
)

// Settings are the facts about the mesh that every snapshot needs.
type Settings struct {
	TrustDomain   mesh.TrustDomain
	ClusterDomain string // "cluster.local"
	// Networks are the mesh's own, see mesh.Inbound.
	Networks []netip.Prefix
}

// Index is one state of the catalog. It never changes; all its methods may be
// called by any number of goroutines, and what they give must not be written.
type Index struct {
	settings Settings
	version  mesh.Version

	services  table[mesh.ServiceName, *Service]
	slices    table[Key, *EndpointSlice]
	routes    table[Key, *Route]
	policies  table[Key, *Policy]
	workloads table[mesh.WorkloadID, *Workload]
	outsiders table[string, *Outsider]
	// configured networks and those of the doors make those of the settings.
	// doorNetworks is copied before it is written.
	configured   []netip.Prefix
	doorNetworks map[string][]netip.Prefix

	serviceAt  relation[netip.Addr, mesh.ServiceName]
	slicesOf   relation[mesh.ServiceName, Key]
	slicesAt   relation[netip.Addr, Key]
	routesOf   relation[mesh.ServiceName, Key]
	policiesIn relation[string, Key]
	workloadAt relation[netip.Addr, mesh.WorkloadID]
	offeredBy  relation[mesh.ServiceName, mesh.WorkloadID]
	outsiderAt relation[netip.Addr, string]
}

// NewIndex gives the empty index, at the given version.
func NewIndex(s Settings, v mesh.Version) *Index {
	return &Index{
		settings:   s,
		configured: s.Networks,
		version:    v,
		services:   newTable[mesh.ServiceName, *Service](),
		slices:     newTable[Key, *EndpointSlice](),
		routes:     newTable[Key, *Route](),
		policies:   newTable[Key, *Policy](),
		workloads:  newTable[mesh.WorkloadID, *Workload](),
		outsiders:  newTable[string, *Outsider](),
		serviceAt:  newRelation[netip.Addr](mesh.ServiceName.Compare),
		slicesOf:   newRelation[mesh.ServiceName](Key.Compare),
		slicesAt:   newRelation[netip.Addr](Key.Compare),
		routesOf:   newRelation[mesh.ServiceName](Key.Compare),
		policiesIn: newRelation[string](Key.Compare),
		workloadAt: newRelation[netip.Addr](cmp.Compare[mesh.WorkloadID]),
		offeredBy:  newRelation[mesh.ServiceName](cmp.Compare[mesh.WorkloadID]),
		outsiderAt: newRelation[netip.Addr](cmp.Compare[string]),
	}
}

// With gives the index after a batch of changes by one door, and what the
// batch touched. When one change is refused nothing is changed. When nothing
// changed the index itself is given back.
func (ix *Index) With(door string, batch []Change) (*Index, Touched, error) {
	next := *ix
	e := &edit{ix: &next, door: door}
	for i, c := range batch {
		if err := c.apply(e); err != nil {
			return ix, Touched{}, fmt.Errorf("change %d of %d from door %q: %w", i+1, len(batch), door, err)
		}
	}
	if !e.changed {
		return ix, Touched{Version: ix.version}, nil
	}
	next.version.Number++
	next.freeze()
	if e.touched.All {
		e.touched = Touched{All: true}
	}
	e.touched.Version = next.version
	return &next, e.touched, nil
}

// Difference gives the changes that make the door's resources equal to all,
// which holds only Put changes: those, after a Drop of everything else that
// the door brought.
func (ix *Index) Difference(door string, all []Change) []Change {
	keep := make(map[ref]bool, len(all))
	for _, c := range all {
		keep[c.ref()] = true
	}
	var batch []Change
	for _, c := range ix.All(door) {
		if r := c.ref(); !keep[r] {
			batch = append(batch, r.drop())
		}
	}
	return append(batch, all...)
}

// All gives everything that a door brought, as the changes that bring it, in
// no order.
func (ix *Index) All(door string) []Change {
	var all []Change
	for _, v := range ix.services.all() {
		if v.Door == door {
			all = append(all, PutService{*v})
		}
	}
	for _, v := range ix.slices.all() {
		if v.Door == door {
			all = append(all, PutEndpointSlice{*v})
		}
	}
	for _, v := range ix.routes.all() {
		if v.Door == door {
			all = append(all, PutRoute{*v})
		}
	}
	for _, v := range ix.policies.all() {
		if v.Door == door {
			all = append(all, PutPolicy{*v})
		}
	}
	for _, v := range ix.workloads.all() {
		if v.Door == door {
			all = append(all, PutWorkload{*v})
		}
	}
	for _, v := range ix.outsiders.all() {
		if v.Door == door {
			all = append(all, PutOutsider{*v})
		}
	}
	if n := ix.doorNetworks[door]; len(n) > 0 {
		all = append(all, PutNetworks{Networks{Door: door, Prefixes: n}})
	}
	return all
}

func (ix *Index) freeze() {
	ix.services.freeze()
	ix.slices.freeze()
	ix.routes.freeze()
	ix.policies.freeze()
	ix.workloads.freeze()
	ix.serviceAt.freeze()
	ix.slicesOf.freeze()
	ix.slicesAt.freeze()
	ix.routesOf.freeze()
	ix.policiesIn.freeze()
	ix.workloadAt.freeze()
	ix.offeredBy.freeze()
	ix.outsiders.freeze()
	ix.outsiderAt.freeze()
}
