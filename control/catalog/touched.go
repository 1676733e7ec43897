package catalog

import (
	"maps"
	"net/netip"

	"github.com/leno-mesh/leno/mesh"
)

// Touched says what may look different since somebody last looked, so that
// only what depends on it has to be compiled again. The sets may be nil.
type Touched struct {
	Version mesh.Version
	// All means everything: the sets are empty then.
	All       bool
	Services  map[mesh.ServiceName]struct{}
	Addrs     map[netip.Addr]struct{}
	Workloads map[mesh.WorkloadID]struct{}
}

// Merge adds what a later change touched.
func (t *Touched) Merge(later Touched) {
	t.Version = later.Version
	if t.All || later.All {
		*t = Touched{Version: t.Version, All: true}
		return
	}
	t.Services = union(t.Services, later.Services)
	t.Addrs = union(t.Addrs, later.Addrs)
	t.Workloads = union(t.Workloads, later.Workloads)
}

// union never writes into b, which other watchers share.
func union[K comparable](a, b map[K]struct{}) map[K]struct{} {
	if len(b) == 0 {
		return a
	}
	if a == nil {
		return maps.Clone(b)
	}
	maps.Copy(a, b)
	return a
}

func (e *edit) touchService(s mesh.ServiceName) {
	e.changed = true
	if e.touched.Services == nil {
		e.touched.Services = make(map[mesh.ServiceName]struct{})
	}
	e.touched.Services[s] = struct{}{}
}

func (e *edit) touchAddrs(as []netip.Addr) {
	if e.touched.Addrs == nil && len(as) > 0 {
		e.touched.Addrs = make(map[netip.Addr]struct{})
	}
	for _, a := range as {
		e.touched.Addrs[a] = struct{}{}
	}
}

func (e *edit) touchWorkload(id mesh.WorkloadID) {
	e.changed = true
	if e.touched.Workloads == nil {
		e.touched.Workloads = make(map[mesh.WorkloadID]struct{})
	}
	e.touched.Workloads[id] = struct{}{}
}
