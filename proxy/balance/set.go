package balance

import (
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/mesh"
)

// Endpoint is one endpoint with what is known about it. P is what the send
// stage keeps for it: its links or its pool of connections.
type Endpoint[P any] struct {
	mesh.Endpoint
	Peer P
	load *load
	set  *Set[P]
}

// Set is the endpoints of one backend. Update keeps what is known about those
// that stay. It is safe for concurrent use.
type Set[P any] struct {
	peer    func(mesh.Endpoint) P
	leaving func(P) bool
	list    atomic.Pointer[[]*Endpoint[P]]

	mu sync.Mutex // serialises Update and ejection
}

// NewSet makes an empty set. Peer gives what is kept for an endpoint; it is
// called once for each new one. Leaving says what the endpoint's proxy said
// itself: that it is going away.
func NewSet[P any](peer func(mesh.Endpoint) P, leaving func(P) bool) *Set[P] {
	s := &Set[P]{peer: peer, leaving: leaving}
	s.list.Store(&[]*Endpoint[P]{})
	return s
}

// key says when two endpoints are the same instance.
type key struct {
	addr     netip.AddrPort
	proxy    netip.AddrPort
	workload mesh.WorkloadID
	identity mesh.Identity
}

func keyOf(e mesh.Endpoint) key { return key{e.Addr, e.Proxy, e.Workload, e.Identity} }

// Update replaces the endpoints.
func (s *Set[P]) Update(now time.Duration, endpoints []mesh.Endpoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := make(map[key]*Endpoint[P])
	for _, e := range *s.list.Load() {
		old[keyOf(e.Endpoint)] = e
	}
	list := make([]*Endpoint[P], 0, len(endpoints))
	for _, e := range endpoints {
		was, ok := old[keyOf(e)]
		switch {
		case !ok:
			list = append(list, &Endpoint[P]{Endpoint: e, Peer: s.peer(e), load: newLoad(now), set: s})
		case was.Endpoint == e:
			list = append(list, was)
		default:
			l := was.load
			if was.State == mesh.Starting {
				l = newLoad(now) // what failed before it had started says nothing
			}
			list = append(list, &Endpoint[P]{Endpoint: e, Peer: was.Peer, load: l, set: s})
		}
	}
	s.list.Store(&list)
}

// All gives the endpoints; the slice must not be changed.
func (s *Set[P]) All() []*Endpoint[P] { return *s.list.Load() }

// Started says whether there is an endpoint that is not just starting.
func (s *Set[P]) Started() bool {
	for _, e := range *s.list.Load() {
		if e.State != mesh.Starting {
			return true
		}
	}
	return false
}

// Pick gives the endpoint for one request, or nil when there is none. It
// leaves out those in tried while there are others. Random is 64 random bits.
// Every endpoint picked must be given to Success, Failure or Neutral.
func (s *Set[P]) Pick(now time.Duration, random uint64, tried []*Endpoint[P]) *Endpoint[P] {
	list := *s.list.Load()
	if len(list) == 0 {
		return nil
	}
	e := pickTwo(list, now, random, tried)
	for rank := best; e == nil && rank <= last; rank++ {
		e = scan(list, now, uint32(random), tried, rank)
	}
	if e != nil {
		e.load.begin(now)
	}
	return e
}

// pickTwo is the usual case: two at random, both good.
func pickTwo[P any](list []*Endpoint[P], now time.Duration, random uint64, tried []*Endpoint[P]) *Endpoint[P] {
	n := uint64(len(list))
	i := (random >> 32) * n >> 32
	a := list[i]
	if n == 1 {
		return ifGood(a, now, tried)
	}
	j := (random & 0xffffffff) * (n - 1) >> 32
	if j >= i {
		j++
	}
	b := ifGood(list[j], now, tried)
	if a = ifGood(a, now, tried); a == nil || b == nil {
		return nil // let the scan decide among all
	}
	if b.load.cost(now) < a.load.cost(now) {
		return b
	}
	return a
}

func ifGood[P any](e *Endpoint[P], now time.Duration, tried []*Endpoint[P]) *Endpoint[P] {
	if rankOf(e, now) != best || contains(tried, e) {
		return nil
	}
	return e
}

// rank orders endpoints by how much is to be said against them.
type rank int

const (
	best     rank = iota
	doubtful      // its lease ran out, and nothing is known to be wrong
	draining      // it asked for nothing new
	ejected       // it failed lately
	starting      // its application does not listen yet
	last     = starting
)

func rankOf[P any](e *Endpoint[P], now time.Duration) rank {
	switch {
	case e.State == mesh.Starting:
		return starting
	case !e.load.usable(now):
		return ejected
	case e.State == mesh.Draining, e.set.leaving(e.Peer):
		return draining
	case e.State == mesh.Doubtful:
		return doubtful
	}
	return best
}

// scan looks at all endpoints of one rank, from a random one on, and takes
// the one with the lowest cost.
func scan[P any](list []*Endpoint[P], now time.Duration, random uint32, tried []*Endpoint[P], want rank) *Endpoint[P] {
	var found *Endpoint[P]
	lowest := 0.0
	from := int(uint64(random) * uint64(len(list)) >> 32) // below len(list)
	for k := range list {
		e := list[(from+k)%len(list)]
		if rankOf(e, now) != want || contains(tried, e) {
			continue
		}
		if c := e.load.cost(now); found == nil || c < lowest {
			found, lowest = e, c
		}
	}
	return found
}

// contains compares instances, since an update may have replaced the value.
func contains[P any](tried []*Endpoint[P], e *Endpoint[P]) bool {
	for _, t := range tried {
		if t.load == e.load {
			return true
		}
	}
	return false
}

// Success notes that the endpoint answered, after latency.
func (e *Endpoint[P]) Success(now, latency time.Duration) { e.load.success(now, latency) }

// Neutral notes that the request ended without saying anything about the
// endpoint.
func (e *Endpoint[P]) Neutral() { e.load.neutral() }

// Failure notes that the endpoint could not be reached, reset the connection
// or proved to be another. It says whether this ejected the endpoint.
func (e *Endpoint[P]) Failure(now time.Duration) bool {
	return e.load.failure(now) && e.set.eject(e, now)
}

// eject puts an endpoint aside unless it is the last or half are aside.
func (s *Set[P]) eject(e *Endpoint[P], now time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := *s.list.Load()
	aside := 0
	for _, o := range list {
		if o.load.isEjected() {
			aside++
		}
	}
	if len(list) < 2 || (aside+1)*2 > len(list) {
		return false
	}
	return e.load.eject(now)
}
