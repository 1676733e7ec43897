package publish

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/control/compile"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire"
)

// question is what a proxy can ask: its own snapshot, by workload, or a
// destination, by target and as much of the caller as matters.
type question struct {
	workload mesh.WorkloadID
	caller   compile.Caller
	target   mesh.Target
}

// answer is one compiled and encoded snapshot, shared by all who asked the
// same. It never changes; a change of the catalog makes it stale.
type answer struct {
	q     question
	stale atomic.Bool
	once  sync.Once
	made  atomic.Bool // everything below is written before

	touched func(catalog.Touched) bool
	encoded      // of an inbound or a destination
	found   bool // false: no such workload
	inbound *mesh.Inbound
	keys    []string // of the sets
	sets    []*sharedSet
	err     error

	users map[*session]struct{} // guarded by answers.mu
}

// answers are those in use.
type answers struct {
	view func() *catalog.Index

	mu  sync.Mutex // guards all and every answer's users
	all map[question]*answer

	setMu   sync.Mutex            // guards sets and sweepAt; taken after mu
	sets    map[string]*sharedSet // the last state of each
	sweepAt int                   // how many sets call for a sweep
}

func newAnswers(view func() *catalog.Index) answers {
	return answers{view: view, all: make(map[question]*answer), sets: make(map[string]*sharedSet)}
}

// get gives the answer of now and wakes s when it becomes stale.
func (as *answers) get(q question, s *session) *answer {
	as.mu.Lock()
	a := as.all[q]
	if a == nil {
		a = &answer{q: q, users: make(map[*session]struct{})}
		as.all[q] = a
	}
	a.users[s] = struct{}{}
	as.mu.Unlock()
	a.once.Do(func() {
		as.make(a)
		a.made.Store(true)
		as.sweep()
	})
	return a
}

// release ends the use of an answer; nil is fine.
func (as *answers) release(a *answer, s *session) {
	if a == nil {
		return
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	delete(a.users, s)
	if len(a.users) == 0 && as.all[a.q] == a {
		delete(as.all, a.q)
	}
}

// touch marks what a change makes stale and gives the sessions to wake. An
// answer that is being made right now may be made of the state before, so it
// counts as touched.
func (as *answers) touch(t catalog.Touched) map[*session]struct{} {
	wake := make(map[*session]struct{})
	as.mu.Lock()
	defer as.mu.Unlock()
	for q, a := range as.all {
		if a.made.Load() && !a.touched(t) {
			continue
		}
		a.stale.Store(true)
		delete(as.all, q)
		for s := range a.users {
			wake[s] = struct{}{}
		}
	}
	return wake
}

func (as *answers) make(a *answer) {
	ix := as.view()
	if a.q.workload != "" {
		as.makeInbound(a, ix)
	} else {
		as.makeDestination(a, ix)
	}
	a.hash = wire.Hash(a.body)
}

func (as *answers) makeInbound(a *answer, ix *catalog.Index) {
	id := a.q.workload
	a.touched = func(t catalog.Touched) bool {
		_, ok := t.Workloads[id]
		return ok || t.All
	}
	if a.inbound, a.found = compile.Inbound(ix, id); a.found {
		a.body, a.err = wire.EncodeInbound(a.inbound)
	}
}

func (as *answers) makeDestination(a *answer, ix *catalog.Index) {
	d, deps := compile.Destination(ix, a.q.caller, a.q.target)
	a.touched, a.found = deps.Touched, true
	if a.body, a.keys, a.err = wire.EncodeDestination(d); a.err != nil {
		return
	}
	for i, key := range a.keys {
		set, err := as.share(key, d.Sets[i].Endpoints)
		if err != nil {
			a.err = fmt.Errorf("set %s: %w", key, err)
			return
		}
		a.sets = append(a.sets, set)
	}
}
