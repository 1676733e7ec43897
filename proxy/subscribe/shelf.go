package subscribe

import (
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
)

// shelfSize is how many destinations that nobody watches are remembered.
const shelfSize = 256

// shelf remembers destinations that are not watched: those of an earlier run,
// and those that were not used for a while. They are out of date by definition
// and are used only when there is nobody to ask. The zero value is empty.
type shelf struct {
	plans map[string]*plan
	order []string // of keys, oldest first
}

func (sh *shelf) put(key string, p *plan) {
	sh.take(key)
	if sh.plans == nil {
		sh.plans = make(map[string]*plan)
	}
	if len(sh.order) >= shelfSize {
		sh.take(sh.order[0])
	}
	sh.plans[key] = p
	sh.order = append(sh.order, key)
}

func (sh *shelf) take(key string) *plan {
	p := sh.plans[key]
	if p == nil {
		return nil
	}
	delete(sh.plans, key)
	for i, k := range sh.order {
		if k == key {
			sh.order = append(sh.order[:i], sh.order[i+1:]...)
			break
		}
	}
	return p
}

// retire moves a destination to the shelf. Its sets stay until the server
// says that it no longer keeps them up to date.
func (s *store) retire(t mesh.Target) {
	key := wire.TargetKey(t)
	e := s.destinations[key]
	if e == nil {
		return
	}
	delete(s.destinations, key)
	if e.good != nil {
		s.shelf.put(key, e.good)
	}
}

// revive takes a destination back from the shelf. It gives nil when there is
// none, or when the destination is held already.
func (s *store) revive(t mesh.Target) *delivery {
	key := wire.TargetKey(t)
	if s.destinations[key] != nil {
		return nil
	}
	p := s.shelf.take(key)
	if p == nil {
		return nil
	}
	for i, k := range p.keys {
		if s.sets[k] == nil {
			s.sets[k] = &heldSet{set: p.sets[i], hash: p.sets[i].Hash()}
		}
	}
	e := &entry{target: t, hash: wire.Hash(p.body), latest: p}
	s.destinations[key] = e
	d := s.deliver(name{gen.Kind_KIND_DESTINATION, key}, e, p)
	return &d
}
