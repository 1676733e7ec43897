package registry

import (
	"context"
	"errors"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shown is a catalog that remembers what it was told.
type shown struct {
	mu     sync.Mutex
	synced bool
	states map[mesh.WorkloadID]mesh.EndpointState
	// starting are those with port 8080, on which nothing listens yet.
	starting map[mesh.WorkloadID]bool
}

func (s *shown) Apply(_ context.Context, door string, batch []catalog.Change) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if door != Door {
		return errors.New("wrong door " + door)
	}
	for _, c := range batch {
		switch c := c.(type) {
		case catalog.PutWorkload:
			s.states[c.Workload.ID] = c.Workload.State
			s.starting[c.Workload.ID] = c.Workload.Registration.Starting(8080)
		case catalog.DropWorkload:
			delete(s.states, c.ID)
		}
	}
	return nil
}

func (s *shown) Sync(context.Context, string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.synced = true
	return nil
}

// text gives the states in one line: "ready doubtful", sorted.
func (s *shown) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var words []string
	for _, st := range s.states {
		words = append(words, st.String())
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// world is a registry that runs, and its catalog.
type world struct {
	*Registry
	t    *testing.T
	cat  *shown
	stop func()
}

func start(t *testing.T, path string) *world {
	t.Helper()
	cat := &shown{states: map[mesh.WorkloadID]mesh.EndpointState{}, starting: map[mesh.WorkloadID]bool{}}
	r, err := Open(Config{Path: path, TrustDomain: "test.local", Catalog: cat})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	return &world{Registry: r, t: t, cat: cat, stop: func() {
		cancel()
		if err := errors.Join(<-done, r.Close()); err != nil {
			t.Error(err)
		}
	}}
}

func (w *world) expect(want string) {
	w.t.Helper()
	synctest.Wait()
	if got := w.cat.text(); got != want {
		w.t.Errorf("catalog shows %q; want %q", got, want)
	}
}

var payGrant = Grant{Namespace: "shop", ServiceAccount: "pay", Services: []Service{{"pay", 80}}}

func (w *world) token(g Grant) string {
	w.t.Helper()
	secret, _, err := w.CreateToken(g, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	return secret
}

func key(n byte) identity.KeyHash { return identity.KeyHash{n} }

func (w *world) join(n byte) *Workload {
	w.t.Helper()
	rec, err := w.Join(w.token(payGrant), key(n), registration(n), time.Now().Add(24*time.Hour))
	if err != nil {
		w.t.Fatal(err)
	}
	return rec
}

func registration(n byte) *mesh.Registration {
	addr := netip.AddrFrom4([4]byte{10, 0, 0, n})
	return &mesh.Registration{
		Name: "pay-" + string('a'+rune(n)), Addr: addr, ProxyPort: 4143, AdminPort: 4191,
		Services: []mesh.RegisteredPort{{Service: "pay", Port: 80, Target: netip.AddrPortFrom(addr, 8080)}},
	}
}

func (w *world) connect(rec *Workload, n byte) *Session {
	w.t.Helper()
	s, err := w.Connect(w.t.Context(), rec.ID, rec.Identity, registration(n))
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) close(ss ...*Session) {
	w.t.Helper()
	for _, s := range ss {
		if err := s.Close(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// run gives a world inside a bubble of fake time.
func run(t *testing.T, f func(*world)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "registry.db")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, path)
		defer w.stop()
		f(w)
	})
}

func wantRefusal(t *testing.T, err error, words string) {
	t.Helper()
	var r *Refusal
	if !errors.As(err, &r) || !strings.Contains(err.Error(), words) {
		t.Errorf("%v; want a refusal with %q", err, words)
	}
}

func TestTokens(t *testing.T) {
	run(t, func(w *world) {
		end := time.Now().Add(24 * time.Hour)
		join := func(secret string, n byte) error {
			_, err := w.Join(secret, key(n), registration(n), end)
			return err
		}
		wantRefusal(t, join("leno_nonsense", 1), "not known")

		secret := w.token(payGrant)
		if err := join(secret, 1); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, join(secret, 2), "used already")
		if err := join(secret, 1); err != nil {
			t.Errorf("the same key after a lost answer: %v", err)
		}
		if all, _ := w.Workloads(); len(all) != 1 {
			t.Errorf("%d workloads after one token", len(all))
		}

		late := w.token(payGrant)
		time.Sleep(time.Hour + time.Second)
		wantRefusal(t, join(late, 3), "expired")

		secret, tok, err := w.CreateToken(payGrant, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.RevokeToken(tok.ID); err != nil {
			t.Fatal(err)
		}
		wantRefusal(t, join(secret, 4), "revoked")
		wantRefusal(t, w.RevokeToken("none"), "no token")

		all, err := w.Tokens()
		var words []string
		for _, tok := range all {
			words = append(words, tok.Status(time.Now()))
			if b, _ := tok.UsedBy.MarshalText(); strings.Contains(string(b), secret) {
				t.Error("a record holds the secret")
			}
		}
		if got := strings.Join(words, " "); err != nil || got != "used expired revoked" && got != "expired used revoked" {
			t.Errorf("list says %q, %v", got, err)
		}
	})
}

func TestTokenNamesItsServices(t *testing.T) {
	run(t, func(w *world) {
		secret := w.token(payGrant)
		wrong := registration(1)
		wrong.Services[0].Service = "cart"
		_, err := w.Join(secret, key(1), wrong, time.Now().Add(time.Hour))
		wantRefusal(t, err, "not in the join token")

		// The token was not spent by the mistake.
		rec, err := w.Join(secret, key(2), registration(1), time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		bad := map[string]func(*mesh.Registration){
			"other port":       func(r *mesh.Registration) { r.Services[0].Port = 81 },
			"other address":    func(r *mesh.Registration) { r.Services[0].Target = netip.MustParseAddrPort("10.9.9.9:80") },
			"the proxy itself": func(r *mesh.Registration) { r.Services[0].Target = netip.MustParseAddrPort("10.0.0.1:4143") },
			"no address":       func(r *mesh.Registration) { r.Addr = netip.Addr{} },
			"any address":      func(r *mesh.Registration) { r.Addr = netip.MustParseAddr("0.0.0.0") },
			"no proxy":         func(r *mesh.Registration) { r.ProxyPort = 0 },
			"bad name":         func(r *mesh.Registration) { r.Name = "Pay 1" },
		}
		for name, spoil := range bad {
			reg := registration(1)
			spoil(reg)
			if _, err := w.Connect(t.Context(), rec.ID, rec.Identity, reg); err == nil {
				t.Errorf("%s: registered", name)
			}
		}
		_, err = w.Connect(t.Context(), rec.ID, "spiffe://test.local/ns/shop/sa/cart", registration(1))
		wantRefusal(t, err, "not spiffe://test.local/ns/shop/sa/cart")
		w.expect("")
	})
}

func TestRenew(t *testing.T) {
	run(t, func(w *world) {
		rec := w.join(1)
		end := time.Now().Add(24 * time.Hour)
		renew := func(proven, next byte) error {
			_, err := w.Renew(Renewal{Workload: rec.ID, Identity: rec.Identity, Proven: key(proven), Next: key(next), End: end})
			return err
		}
		for _, step := range []struct {
			proven, next byte
			refused      string
		}{
			{proven: 9, next: 2, refused: "not the registered one"},
			{proven: 1, next: 2},
			{proven: 1, next: 3}, // the answer with 2 was lost
			{proven: 3, next: 4}, // the answer with 3 was not
			{proven: 1, next: 5, refused: "not the registered one"},
			{proven: 2, next: 5, refused: "not the registered one"},
		} {
			err := renew(step.proven, step.next)
			if step.refused != "" {
				wantRefusal(t, err, step.refused)
			} else if err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(7 * 24 * time.Hour) // six days after the end
		if err := renew(4, 5); err != nil {
			t.Errorf("within the window: %v", err)
		}
		time.Sleep(25 * time.Hour) // seven days and an hour after it
		wantRefusal(t, renew(5, 6), "more than")
	})
}

func TestRevokedWorkload(t *testing.T) {
	run(t, func(w *world) {
		rec := w.join(1)
		s := w.connect(rec, 1)
		w.expect("ready")
		if err := w.Revoke(t.Context(), rec.ID); err != nil {
			t.Fatal(err)
		}
		w.expect("")
		<-s.Replaced()
		w.close(s)
		_, err := w.Renew(Renewal{Workload: rec.ID, Identity: rec.Identity, Proven: key(1), Next: key(2)})
		wantRefusal(t, err, "revoked")
		_, err = w.Connect(t.Context(), rec.ID, rec.Identity, registration(1))
		wantRefusal(t, err, "revoked")
	})
}

func TestLeaseRunsOut(t *testing.T) {
	run(t, func(w *world) {
		one, two, three := w.connect(w.join(1), 1), w.connect(w.join(2), 2), w.connect(w.join(3), 3)
		w.expect("ready ready ready")
		w.close(one)
		time.Sleep(DefaultLease - time.Second)
		w.expect("ready ready ready")
		time.Sleep(2 * time.Second)
		w.expect("doubtful ready ready")
		time.Sleep(DefaultRemoveAfter)
		w.expect("ready ready")
		w.close(two, three)
	})
}

func TestMassExpiryNeverEmptiesASet(t *testing.T) {
	run(t, func(w *world) {
		recs := []*Workload{w.join(1), w.join(2), w.join(3)}
		var ss []*Session
		for n, rec := range recs {
			ss = append(ss, w.connect(rec, byte(n+1)))
		}
		w.close(ss...)
		time.Sleep(DefaultLease + DefaultRemoveAfter + time.Hour)
		w.expect("doubtful doubtful doubtful")

		// Two come back: the third alone is a death, not a mass expiry.
		one, two := w.connect(recs[0], 1), w.connect(recs[1], 2)
		w.expect("ready ready")
		w.close(one, two)
		time.Sleep(DefaultLease + DefaultForgetAfter + time.Minute)
		w.expect("") // after a day they are forgotten all the same
	})
}

func TestDrainingLeavesAtOnce(t *testing.T) {
	run(t, func(w *world) {
		rec := w.join(1)
		s := w.connect(rec, 1)
		if err := s.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.expect("draining")
		w.close(s)
		w.expect("")
		// It may come back under the same name: a restart of the process.
		w.close(w.connect(rec, 1))
		w.expect("ready")
	})
}

func TestSecondSessionReplacesTheFirst(t *testing.T) {
	run(t, func(w *world) {
		rec := w.join(1)
		first := w.connect(rec, 1)
		second := w.connect(rec, 1)
		<-first.Replaced()
		if err := first.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.close(first) // must not touch the second's lease
		time.Sleep(time.Hour)
		w.expect("ready")
		w.close(second)
	})
}

func TestNewWorkloadAtTheSameAddress(t *testing.T) {
	run(t, func(w *world) {
		old := w.connect(w.join(1), 1)
		again := w.connect(w.join(1), 1) // a second join of a restarted process
		w.expect("ready")
		<-old.Replaced()
		w.close(old, again)

		// Somebody else cannot push a connected workload out.
		mine := w.connect(w.join(2), 2)
		g := Grant{Namespace: "other", ServiceAccount: "thief"}
		reg := registration(2)
		reg.Services = nil
		thief, err := w.Join(w.token(g), key(9), reg, time.Now().Add(time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		s, err := w.Connect(t.Context(), thief.ID, thief.Identity, reg)
		if err != nil {
			t.Fatal(err)
		}
		select {
		case <-mine.Replaced():
			t.Error("a workload of another identity took the address")
		default:
		}
		w.close(mine, s)
	})
}

func TestRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "registry.db")
	synctest.Test(t, func(t *testing.T) {
		w := start(t, path)
		stays, leaves := w.join(1), w.join(2)
		w.connect(stays, 1) // never closed: the server dies
		gone := w.connect(leaves, 2)
		if err := gone.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.close(gone)
		first := w.Start()
		w.stop()
		time.Sleep(time.Hour) // leases do not run while the server is down

		w = start(t, path)
		defer w.stop()
		w.expect("ready")
		if !w.cat.synced {
			t.Error("the door did not sync")
		}
		if v := w.Start(); v.Epoch != first.Epoch || v.Number <= first.Number {
			t.Errorf("version %s after %s", v, first)
		}
		time.Sleep(DefaultLease + time.Second)
		w.expect("doubtful")
		w.close(w.connect(stays, 1))
		w.expect("ready")
		if got := slices.Collect(maps.Keys(w.cat.states)); len(got) != 1 || got[0] != stays.ID {
			t.Errorf("catalog has %v", got)
		}
		if _, err := w.Connect(t.Context(), leaves.ID, leaves.Identity, nil); err == nil {
			t.Error("a workload that left came back without a registration")
		}
	})
}

func TestPrune(t *testing.T) {
	run(t, func(w *world) {
		w.join(1)
		w.token(payGrant)
		time.Sleep(10 * 24 * time.Hour)
		synctest.Wait()
		tokens, err := w.Tokens()
		all, werr := w.Workloads()
		if err != nil || werr != nil || len(tokens) != 0 || len(all) != 0 {
			t.Errorf("kept %d tokens, %d workloads, %v, %v", len(tokens), len(all), err, werr)
		}
	})
}

func TestBadGrants(t *testing.T) {
	run(t, func(w *world) {
		for name, g := range map[string]Grant{
			"no namespace": {ServiceAccount: "a"},
			"no account":   {Namespace: "a"},
			"capitals":     {Namespace: "Shop", ServiceAccount: "a"},
			"no port":      {Namespace: "a", ServiceAccount: "a", Services: []Service{{Name: "x"}}},
		} {
			if _, _, err := w.CreateToken(g, 0); err == nil {
				t.Errorf("%s: made a token", name)
			}
		}
		if _, _, err := w.CreateToken(payGrant, 365*24*time.Hour); err == nil {
			t.Error("made a token for a year")
		}
	})
}

func TestParseService(t *testing.T) {
	if s, err := ParseService("pay:80"); err != nil || s != (Service{"pay", 80}) {
		t.Errorf("%v, %v", s, err)
	}
	for _, bad := range []string{"", "pay", "pay:", "pay:0", "pay:99999", "Pay:80", ":80", "a b:80"} {
		if s, err := ParseService(bad); err == nil {
			t.Errorf("%q gave %v", bad, s)
		}
	}
}
