package balance

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/leno-mesh/leno/mesh"
)

func endpoints(n int) []mesh.Endpoint {
	es := make([]mesh.Endpoint, n)
	for i := range es {
		es[i].Addr = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 80)
	}
	return es
}

func newTestSet(n int) *Set[int] {
	made := 0
	s := NewSet(func(mesh.Endpoint) int { made++; return made }, func(int) bool { return false })
	s.Update(0, endpoints(n))
	return s
}

// failMany fails an endpoint as often as it takes.
func failMany(e *Endpoint[int], now time.Duration) (ejected bool) {
	for range failuresToEject {
		e.load.begin(now)
		ejected = e.Failure(now) || ejected
	}
	return ejected
}

func TestPickSpreads(t *testing.T) {
	s := newTestSet(4)
	r := rand.New(rand.NewPCG(1, 2))
	got := map[netip.AddrPort]int{}
	for range 4000 {
		e := s.Pick(0, r.Uint64(), nil)
		got[e.Addr]++
		e.Success(0, defaultRTT)
	}
	for addr, n := range got {
		if n < 700 || n > 1300 {
			t.Errorf("%v got %d of 4000", addr, n)
		}
	}
}

func TestPickAvoidsSlow(t *testing.T) {
	s := newTestSet(2)
	r := rand.New(rand.NewPCG(1, 2))
	now := time.Duration(0)
	slow := 0
	for range 1000 {
		now += time.Millisecond
		e := s.Pick(now, r.Uint64(), nil)
		latency := time.Millisecond
		if e.Peer == 1 {
			latency = 100 * time.Millisecond
			slow++
		}
		e.Success(now, latency)
	}
	if slow > 50 {
		t.Errorf("the slow endpoint got %d of 1000", slow)
	}
}

func TestPickAvoidsBusy(t *testing.T) {
	s := newTestSet(2)
	busy := s.Pick(0, 0, nil)
	for range 20 {
		e := s.Pick(0, rand.Uint64(), nil)
		if e == busy {
			t.Fatal("picked the endpoint with a request under way")
		}
		e.Neutral()
	}
}

func TestEjection(t *testing.T) {
	s := newTestSet(4)
	all := s.All()
	if !failMany(all[0], 0) || !failMany(all[1], 0) {
		t.Fatal("two of four were not ejected")
	}
	if failMany(all[2], 0) {
		t.Error("more than half were ejected")
	}
	for range 200 {
		e := s.Pick(0, rand.Uint64(), nil)
		if e == all[0] || e == all[1] {
			t.Fatal("picked an ejected endpoint")
		}
		e.Neutral()
	}
}

func TestLastIsNeverEjected(t *testing.T) {
	s := newTestSet(1)
	if failMany(s.All()[0], 0) {
		t.Error("the only endpoint was ejected")
	}
	if s.Pick(0, 7, nil) == nil {
		t.Error("nothing to pick")
	}
}

// TestProbe follows an ejected endpoint back: after its time one request, and
// only one, is the probe.
func TestProbe(t *testing.T) {
	s := newTestSet(2)
	bad := s.All()[0]
	failMany(bad, 0)
	probes := func(now time.Duration) (n int, last *Endpoint[int]) {
		for range 50 {
			if e := s.Pick(now, rand.Uint64(), nil); e == bad {
				n, last = n+1, e
			} else {
				e.Neutral()
			}
		}
		return n, last
	}
	if n, _ := probes(firstEjection - 1); n != 0 {
		t.Fatalf("%d requests before its time", n)
	}
	n, probe := probes(firstEjection)
	if n != 1 {
		t.Fatalf("%d probes, want 1", n)
	}
	probe.Failure(firstEjection)
	if n, _ := probes(2 * firstEjection); n != 0 {
		t.Error("a failed probe did not lengthen the ejection")
	}
	_, probe = probes(4 * firstEjection)
	if probe == nil {
		t.Fatal("no second probe")
	}
	probe.Success(4*firstEjection, time.Millisecond)
	back := 0
	for range 50 {
		e := s.Pick(4*firstEjection, rand.Uint64(), nil)
		if e == bad {
			back++
		}
		e.Neutral()
	}
	if back < 2 {
		t.Error("a good probe did not bring the endpoint back")
	}
}

func TestTriedAreLeftOut(t *testing.T) {
	s := newTestSet(3)
	var tried []*Endpoint[int]
	for range 3 {
		e := s.Pick(0, rand.Uint64(), tried)
		if e == nil || contains(tried, e) {
			t.Fatalf("picked %v after %d tries", e, len(tried))
		}
		tried = append(tried, e)
	}
	if e := s.Pick(0, 1, tried); e != nil {
		t.Error("picked one that had been tried")
	}
}

func TestStates(t *testing.T) {
	s := newTestSet(0)
	if s.Pick(0, 1, nil) != nil {
		t.Error("picked from an empty set")
	}
	es := endpoints(3)
	es[0].State, es[1].State = mesh.Draining, mesh.Doubtful
	s.Update(0, es)
	for range 20 {
		if e := s.Pick(0, rand.Uint64(), nil); e.State != mesh.Ready {
			t.Fatalf("picked a %v endpoint", e.State)
		}
	}
	s.Update(0, es[:2])
	if e := s.Pick(0, 1, nil); e.State != mesh.Doubtful {
		t.Errorf("picked %v, want the doubtful one before the draining one", e.State)
	}
	s.Update(0, es[:1])
	if s.Pick(0, 1, nil) == nil {
		t.Error("a set of draining endpoints is empty")
	}
}

// TestUpdateKeeps checks that what is known about an instance survives
// updates, and is forgotten with it.
// TestStarting keeps requests from what does not listen yet, and forgets what
// failed there before it did.
func TestStarting(t *testing.T) {
	s := newTestSet(0)
	if s.Started() {
		t.Error("an empty set has started")
	}
	es := endpoints(2)
	es[0].State, es[1].State = mesh.Starting, mesh.Doubtful
	s.Update(0, es)
	if e := s.Pick(0, 1, nil); e.State != mesh.Doubtful || !s.Started() {
		t.Errorf("picked a %v endpoint; started %v", e.State, s.Started())
	}
	failMany(s.All()[0], 0)
	s.Update(0, es[:1])
	if s.Pick(0, 1, nil) == nil || s.Started() {
		t.Error("the last resort is not there, or taken for started")
	}
	s.Update(0, es)
	failMany(s.All()[0], 0)
	es[0].State = mesh.Ready
	s.Update(0, es)
	if s.All()[0].load.isEjected() {
		t.Error("it is put aside for what failed before it listened")
	}
}

func TestUpdateKeeps(t *testing.T) {
	s := newTestSet(2)
	failMany(s.All()[0], 0)
	peer := s.All()[0].Peer
	es := endpoints(2)
	es[0].Zone = "z2"
	s.Update(0, es)
	if e := s.All()[0]; !e.load.isEjected() || e.Peer != peer || e.Zone != "z2" {
		t.Error("an update lost what was known")
	}
	s.Update(0, es[1:])
	s.Update(0, es)
	if e := s.All()[0]; e.load.isEjected() || e.Peer == peer {
		t.Error("a new instance inherited from one that was gone")
	}
}

func TestPickAllocates(t *testing.T) {
	s := newTestSet(5)
	if n := testing.AllocsPerRun(1000, func() {
		s.Pick(0, rand.Uint64(), nil).Success(0, time.Millisecond)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkPick(b *testing.B) {
	s := newTestSet(10)
	b.ReportAllocs()
	for b.Loop() {
		s.Pick(0, rand.Uint64(), nil).Success(0, time.Millisecond)
	}
}
