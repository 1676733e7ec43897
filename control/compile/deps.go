package compile

import (
	"net/netip"
	"slices"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
)

// Deps says what a destination was made of, including what was looked for and
// not found.
type Deps struct {
	Services []mesh.ServiceName
	Addrs    []netip.Addr
}

// Touched says whether the destination may be another one after a change.
func (d Deps) Touched(t catalog.Touched) bool {
	if t.All {
		return true
	}
	for _, s := range d.Services {
		if _, ok := t.Services[s]; ok {
			return true
		}
	}
	for _, a := range d.Addrs {
		if _, ok := t.Addrs[a]; ok {
			return true
		}
	}
	return false
}

func (d *Deps) addService(s mesh.ServiceName) {
	if !slices.Contains(d.Services, s) {
		d.Services = append(d.Services, s)
	}
}

func (d *Deps) addAddr(a netip.Addr) { d.Addrs = append(d.Addrs, a) }
