package publish

import (
	"sync"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire"
)

// sharedSet is one state of an endpoint set, with the delta from the state
// before, which is the one that nearly every proxy needs.
type sharedSet struct {
	*wire.Set
	before *wire.Set // nil for the first

	once  sync.Once
	delta []byte
	err   error
}

// share gives the set of these endpoints, the same one as last time when
// nothing changed.
func (as *answers) share(key string, endpoints []mesh.Endpoint) (*sharedSet, error) {
	as.setMu.Lock()
	defer as.setMu.Unlock()
	last := as.sets[key]
	var before *wire.Set
	if last != nil {
		before = last.Set
	}
	set, err := wire.EncodeSet(before, endpoints)
	if err != nil {
		return nil, err
	}
	if last != nil && set == before {
		return last, nil
	}
	shared := &sharedSet{Set: set, before: before}
	as.sets[key] = shared
	return shared, nil
}

// deltaFrom gives the body of the delta from a state that a proxy holds.
func (s *sharedSet) deltaFrom(held *wire.Set) ([]byte, error) {
	if s.before == nil || held.Hash() != s.before.Hash() {
		return s.Delta(held)
	}
	s.once.Do(func() { s.delta, s.err = s.Delta(s.before) })
	return s.delta, s.err
}

// sweep forgets the sets that no answer refers to, when there are many more
// than at the last sweep.
func (as *answers) sweep() {
	as.setMu.Lock()
	crowded := len(as.sets) > max(as.sweepAt, 1024)
	as.setMu.Unlock()
	if !crowded {
		return
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	used := make(map[string]bool)
	for _, a := range as.all {
		if !a.made.Load() {
			return // what it refers to is not known yet; another time
		}
		for _, key := range a.keys {
			used[key] = true
		}
	}
	as.setMu.Lock()
	defer as.setMu.Unlock()
	for key := range as.sets {
		if !used[key] {
			delete(as.sets, key)
		}
	}
	as.sweepAt = 2 * len(as.sets)
}
