package proxy

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/balance"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/route"
	"github.com/leno-mesh/leno/proxy/send"
)

const (
	// discoveryWait bounds the wait for the control plane's first word about
	// a destination.
	discoveryWait = 3 * time.Second
	// destinationIdle is how long a destination that nobody calls is watched.
	destinationIdle = time.Minute
)

// destination is one target that clients of this proxy called. It is watched
// as long as it is used.
type destination struct {
	target  mesh.Target
	current atomic.Pointer[resolved]   // nil before the first answer
	ready   chan struct{}              // closed with the first answer
	meshed  atomic.Bool                // the control plane has known it
	users   atomic.Int64               // connections that hold it
	used    atomic.Int64               // clock of the last use, ns
	early   atomic.Int64               // clock until which its server is known to speak first, ns
	plain   atomic.Pointer[plainRoute] // where it goes when nobody knows it
	connect atomic.Bool                // its application takes extended CONNECT
	waiting awaiting                   // requests that found no endpoint
}

// resolved is a destination as the control plane last described it, built
// whole before it replaces the one before.
type resolved struct {
	*mesh.Destination
	target mesh.Target
	table  *route.Table
	sets   []*balance.Set[*instance]
	none   *counters // for what reached no endpoint
}

// instance is what the outbound side keeps for one endpoint of one
// destination.
type instance struct {
	*send.Peer
	where      string // leno-link for HTTP
	opaque     string // leno-link for opaque connections
	undecided  string // leno-link for connections opened early
	counters   *counters
	httpTarget string // authority for requests that have none
}

// open opens a connection in the mode that a link is told. For HTTP it only makes
// sure that the endpoint can be reached: nil is a link that stands.
func (in *instance) open(ctx context.Context, mode flow.Mode, target string) (flow.Duplex, error) {
	switch mode {
	case flow.ModeHTTP:
		return in.Reach(ctx)
	case flow.ModeUndecided:
		return in.Connect(ctx, in.undecided, target)
	default:
		return in.Connect(ctx, in.opaque, target)
	}
}

// destinations is every destination that this proxy knows. It takes what the
// subscription brings. It is safe for concurrent use.
type destinations struct {
	peers    *send.Peers
	counters func(d *mesh.Destination, e mesh.Endpoint) *counters
	watch    func(mesh.Target)
	unwatch  func(mesh.Target)
	clock    func() time.Duration
	most     int // how many there may be
	// awaiting and startWait are what each of them has as its awaiting.most and
	// start.
	awaiting  int
	startWait time.Duration

	// asking is held around what changes which targets are watched, so that the
	// subscription hears of it in the order in which it happened. It is taken
	// before mu.
	asking sync.Mutex

	mu sync.Mutex
	m  map[mesh.Target]*destination // guarded by mu
	// place is this workload's.
	place mesh.Place // guarded by mu
	// meshed is what was ever a part of the mesh: it is never called in plain
	// text, also when the control plane does not know it any more.
	meshed map[mesh.Target]bool // guarded by mu
}

// maxMeshed bounds what is remembered of destinations that are gone.
const maxMeshed = 16384

func (s *destinations) remember(t mesh.Target) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.meshed) >= maxMeshed {
		for old := range s.meshed { // any one
			delete(s.meshed, old)
			break
		}
	}
	s.meshed[t] = true
}

var errTooManyDestinations = errors.New("this proxy watches as many destinations as it may")

// acquire gives the destination for a target, asking for it the first time.
// release must follow.
func (s *destinations) acquire(t mesh.Target) (*destination, error) {
	if d := s.known(t); d != nil {
		return d, nil
	}
	s.asking.Lock()
	defer s.asking.Unlock()
	if d := s.known(t); d != nil {
		return d, nil
	}
	d, old, ok := s.add(t)
	if !ok {
		return nil, flow.NotHanded(flow.Overloaded, errTooManyDestinations)
	}
	if old != nil {
		s.unwatch(old.target)
	}
	s.watch(t)
	return d, nil
}

// known gives a destination that is there, and counts the user, or nil.
func (s *destinations) known(t mesh.Target) *destination {
	s.mu.Lock()
	defer s.mu.Unlock()
	d := s.m[t]
	if d != nil {
		d.users.Add(1)
	}
	return d
}

// add makes a new destination with its first user. Where there are as many as
// there may be it takes the place of an old one.
func (s *destinations) add(t mesh.Target) (d, old *destination, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.m) >= s.most {
		if old = s.spare(); old == nil {
			return nil, nil, false
		}
		delete(s.m, old.target)
	}
	d = &destination{target: t, ready: make(chan struct{})}
	d.meshed.Store(s.meshed[t])
	d.waiting.most, d.waiting.start = s.awaiting, s.startWait
	d.users.Add(1)
	s.m[t] = d
	return d, old, true
}

// destinationLook bounds the destinations that are compared for a new one.
const destinationLook = 512

// spare finds the destination that is missed the least, among those that nobody
// holds: invented names before others, and then the one used last the longest
// ago. s.mu is held.
func (s *destinations) spare() (found *destination) {
	looked := 0
	for _, d := range s.m {
		if looked++; looked > destinationLook {
			break
		}
		if d.users.Load() == 0 && (found == nil || d.before(found)) {
			found = d
		}
	}
	return found
}

// before says whether d is missed less than another one.
func (d *destination) before(e *destination) bool {
	if a, b := d.worth(), e.worth(); a != b {
		return a < b
	}
	return d.used.Load() < e.used.Load()
}

// worth is higher for destinations of which more is known: nothing, where they
// are outside, or what they are in the mesh.
func (d *destination) worth() int {
	switch r := d.current.Load(); {
	case r != nil && r.Kind != mesh.DestinationUnknown:
		return 2
	case d.plain.Load() != nil:
		return 1
	}
	return 0
}

func (s *destinations) release(d *destination) {
	d.used.Store(int64(s.clock()))
	d.users.Add(-1)
}

// await gives what is known, waiting a bounded time for the first answer.
func (d *destination) await(ctx context.Context) (*resolved, error) {
	if r := d.current.Load(); r != nil {
		return r, nil
	}
	timer := time.NewTimer(discoveryWait)
	defer timer.Stop()
	select {
	case <-d.ready:
		return d.current.Load(), nil
	case <-timer.C:
		return nil, flow.NotHanded(flow.DiscoveryTimeout, errors.New(d.target.String()))
	case <-ctx.Done():
		return nil, flow.NotHanded(flow.Draining, context.Cause(ctx))
	}
}

// apply builds what a new answer needs and then swaps one pointer. What cannot
// be built is refused, and the old answer stays.
func (s *destinations) apply(m *mesh.Destination) error {
	s.mu.Lock()
	d, place := s.m[m.Target], s.place
	s.mu.Unlock()
	if d == nil {
		return nil // nobody wants it any more
	}
	table, err := route.NewTable(m)
	if err != nil {
		return err
	}
	if m.Kind != mesh.DestinationUnknown && !d.meshed.Swap(true) {
		s.remember(m.Target)
	}
	next := s.resolved(m, table)
	next.sets = make([]*balance.Set[*instance], len(m.Sets))
	was := d.current.Load()
	for i := range m.Sets {
		set := was.set(m.Sets[i])
		if set == nil {
			set = balance.NewSet(func(e mesh.Endpoint) *instance { return s.instance(m, e) }, (*instance).Leaving)
		}
		next.sets[i] = set
	}
	for i, set := range next.sets {
		set.Update(s.clock(), mesh.Nearest(m.Sets[i].Endpoints, place))
	}
	d.current.Store(next)
	d.waiting.updated()
	if was == nil {
		close(d.ready)
	} else {
		d.early.Store(0) // what was remembered may not hold for the new answer
	}
	return nil
}

// move takes this workload's place, which decides which endpoints are near. It
// is known before the first destination and hardly ever another one later.
func (s *destinations) move(to mesh.Place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.place == to {
		return
	}
	s.place = to
	for _, d := range s.m {
		r := d.current.Load()
		if r == nil {
			continue
		}
		for i, set := range r.sets {
			set.Update(s.clock(), mesh.Nearest(r.Sets[i].Endpoints, to))
		}
		d.waiting.updated()
	}
}

func (s *destinations) resolved(m *mesh.Destination, table *route.Table) *resolved {
	return &resolved{Destination: m, target: m.Target, table: table, none: s.counters(m, mesh.Endpoint{})}
}

// set finds the live set of a backend in an earlier answer.
func (r *resolved) set(want mesh.EndpointSet) *balance.Set[*instance] {
	if r == nil {
		return nil
	}
	for i := range r.Sets {
		if r.Sets[i].Service == want.Service && r.Sets[i].Port == want.Port {
			return r.sets[i]
		}
	}
	return nil
}

func (s *destinations) instance(d *mesh.Destination, e mesh.Endpoint) *instance {
	where := flow.Where{Service: d.Service.String(), Port: e.Addr.Port(), Workload: e.Workload}
	in := &instance{Peer: s.peers.Get(e), counters: s.counters(d, e), httpTarget: d.Target.String()}
	in.where = where.String()
	where.Mode = flow.ModeOpaque
	in.opaque = where.String()
	where.Mode = flow.ModeUndecided
	in.undecided = where.String()
	return in
}

// tend stops watching what nobody called for a while.
func (s *destinations) tend(now time.Duration) {
	s.asking.Lock()
	defer s.asking.Unlock()
	s.mu.Lock()
	var old []mesh.Target
	for t, d := range s.m {
		if d.users.Load() == 0 && now-time.Duration(d.used.Load()) > destinationIdle {
			old = append(old, t)
			delete(s.m, t)
		}
	}
	s.mu.Unlock()
	for _, t := range old {
		s.unwatch(t)
	}
}

func (s *destinations) len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.m)
}

// snapshot lists what is known, for the debug page.
func (s *destinations) snapshot() []*mesh.Destination {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*mesh.Destination, 0, len(s.m))
	for _, d := range s.m {
		if r := d.current.Load(); r != nil {
			all = append(all, r.Destination)
		}
	}
	return all
}
