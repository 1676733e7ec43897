package kube

import (
	"cmp"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
)

// quietAfter is how long after the last failure a watch counts as well again:
// one that fails is tried again within a minute.
const quietAfter = 2 * time.Minute

// Problem is an object that could not be understood or applied.
type Problem struct {
	Object  string // "HTTPRoute shop/web"
	Message string
	Since   time.Time
	// Kept says that an earlier state of the object is still in force.
	Kept bool
}

// Status is how the door stands.
type Status struct {
	// Synced is when the first complete listing was brought; zero before.
	Synced time.Time
	// Problems are sorted by object.
	Problems []Problem
	// Lost says for kinds whose watch fails at the moment why it does.
	Lost map[string]string
	// Missing are kinds that the cluster does not have.
	Missing []string
	// Strays is how many pods have an address outside of the mesh's networks:
	// the operator should name these.
	Strays int
}

// Status says how things stand. It may be called at any time.
func (d *Door) Status() Status {
	missing := []string{}
	for k := range customKinds() {
		if !d.status.exists(k) {
			missing = append(missing, string(k))
		}
	}
	slices.Sort(missing)
	s := d.status.snapshot(time.Now())
	s.Missing, s.Strays = missing, d.strays()
	return s
}

// status is what the door can say about itself. It is safe for concurrent use.
type status struct {
	log *slog.Logger

	mu       sync.Mutex // guards everything below
	at       time.Time
	problems map[object]Problem
	losses   map[kind]loss
	kinds    map[kind]bool
}

type loss struct {
	message string
	last    time.Time
}

func (s *status) synced(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = at
	s.log.Info("the cluster's state is known")
}

// wrong notes that an object could not be used, and logs it once.
func (s *status) wrong(o object, err error, kept bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, ok := s.problems[o]
	if ok && was.Message == err.Error() {
		return
	}
	if s.problems == nil {
		s.problems = make(map[object]Problem)
	}
	s.problems[o] = Problem{Object: o.String(), Message: err.Error(), Since: time.Now(), Kept: kept}
	s.log.Error("resource refused", "resource", o.String(), "error", err, "earlier_state_kept", kept)
}

func (s *status) fine(o object) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.problems[o]; ok {
		delete(s.problems, o)
		s.log.Info("resource taken", "resource", o.String())
	}
}

// lost notes that a kind cannot be watched, and logs it once for each time
// that this begins.
func (s *status) lost(k kind, err error, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.losses == nil {
		s.losses = make(map[kind]loss)
	}
	if was, ok := s.losses[k]; !ok || now.Sub(was.last) > quietAfter {
		s.log.Warn("watch broken, going on with what is known", "kind", string(k), "error", err)
	}
	s.losses[k] = loss{err.Error(), now}
}

// heard notes that a kind is watched.
func (s *status) heard(k kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.losses[k]; ok {
		delete(s.losses, k)
		s.log.Info("watch works again", "kind", string(k))
	}
}

func (s *status) found(k kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kinds == nil {
		s.kinds = make(map[kind]bool)
	}
	s.kinds[k] = true
	delete(s.losses, k)
}

func (s *status) exists(k kind) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kinds[k]
}

func (s *status) snapshot(now time.Time) Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := Status{Synced: s.at, Lost: make(map[string]string)}
	out.Problems = slices.SortedFunc(maps.Values(s.problems), func(a, b Problem) int { return cmp.Compare(a.Object, b.Object) })
	for k, l := range s.losses {
		if now.Sub(l.last) <= quietAfter {
			out.Lost[string(k)] = l.message
		}
	}
	return out
}
