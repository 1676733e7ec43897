package catalog

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/leno-mesh/leno/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func testWorkload(i int, service string) Workload {
	addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
	return Workload{
		ID: mesh.WorkloadID(fmt.Sprintf("w%d", i)), Namespace: "shop", ServiceAccount: service,
		Identity: mesh.NewIdentity("cluster.local", "shop", service),
		Registration: mesh.Registration{
			Addr: addr, ProxyPort: 4143,
			Services: []mesh.RegisteredPort{{Service: service, Port: 80, Target: netip.AddrPortFrom(addr, 8080)}},
		},
	}
}

func shop(name string) mesh.ServiceName { return mesh.ServiceName{Namespace: "shop", Name: name} }

// running gives a catalog that lives as long as the test.
func running(t *testing.T, cfg Config) (*Catalog, context.Context) {
	t.Helper()
	c := New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	return c, ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestApplyIsAllOrNothing(t *testing.T) {
	c, ctx := running(t, Config{})
	must(t, c.Apply(ctx, "kube", []Change{PutService{Service{Name: shop("a")}}}))
	before := c.View()
	err := c.Apply(ctx, "file", []Change{
		PutService{Service{Name: shop("b")}},
		PutService{Service{Name: shop("a")}},
	})
	if err == nil {
		t.Fatal("a door replaced another door's service")
	}
	if c.View() != before {
		t.Error("a refused batch left something behind")
	}
	if err := c.Apply(ctx, "file", []Change{DropService{shop("a")}}); err == nil {
		t.Error("a door dropped another door's service")
	}
	if err := c.Apply(ctx, "file", []Change{PutWorkload{Workload{ID: "w"}}}); err == nil {
		t.Error("a workload without identity was taken")
	}
}

func TestViewStaysAsItWas(t *testing.T) {
	c, ctx := running(t, Config{})
	must(t, c.Apply(ctx, "registrations", []Change{PutWorkload{testWorkload(1, "a")}}))
	old := c.View()
	must(t, c.Apply(ctx, "registrations", []Change{
		PutWorkload{testWorkload(2, "a")},
		PutWorkload{testWorkload(3, "a")},
		DropWorkload{"w1"},
	}))
	if ws := old.WorkloadsOf(shop("a")); len(ws) != 1 || ws[0].ID != "w1" {
		t.Errorf("the old view changed: %v", ws)
	}
	if ws := c.View().WorkloadsOf(shop("a")); len(ws) != 2 || ws[0].ID != "w2" || ws[1].ID != "w3" {
		t.Errorf("the new view is wrong: %v", ws)
	}
	if got := c.View().Version().Number - old.Version().Number; got != 1 {
		t.Errorf("the version grew by %d, want 1", got)
	}
}

func TestReplaceChangesOnlyTheDifference(t *testing.T) {
	c, ctx := running(t, Config{})
	must(t, c.Apply(ctx, "registrations", []Change{PutWorkload{testWorkload(1, "x")}}))
	a, b := PutService{Service{Name: shop("a")}}, PutService{Service{Name: shop("b")}}
	must(t, c.Replace(ctx, "file", []Change{a, b}))
	w := c.Watch()
	defer w.Close()
	if touched, err := w.Next(ctx); err != nil || !touched.All {
		t.Fatalf("first look: %+v, %v", touched, err)
	}
	route := PutRoute{Route{Key: Key{"shop", "r"}, Parents: []Parent{{Service: shop("c")}}}}
	must(t, c.Replace(ctx, "file", []Change{a, route}))
	touched, err := w.Next(ctx)
	must(t, err)
	_, toB := touched.Services[shop("b")]
	_, toC := touched.Services[shop("c")]
	if len(touched.Services) != 2 || !toB || !toC || touched.All {
		t.Errorf("touched %+v, want b and c", touched)
	}
	ix := c.View()
	if ix.Service(shop("a")) == nil || ix.Service(shop("b")) != nil || ix.Workload("w1") == nil || len(ix.RoutesOf(shop("c"))) != 1 {
		t.Error("the index is not what was asked for")
	}
	before := ix
	must(t, c.Replace(ctx, "file", []Change{a, route}))
	if c.View() != before {
		t.Error("the same again made a new version")
	}
	if err := c.Replace(ctx, "file", []Change{DropRoute{Key{"shop", "r"}}}); err == nil {
		t.Error("replace took a drop")
	}
}

func TestWatchMergesForTheSlow(t *testing.T) {
	c, ctx := running(t, Config{})
	slow, other := c.Watch(), c.Watch()
	defer slow.Close()
	defer other.Close()
	for _, w := range []*Watch{slow, other} {
		_, err := w.Next(ctx)
		must(t, err)
	}
	for i := range 3 {
		must(t, c.Apply(ctx, "registrations", []Change{PutWorkload{testWorkload(i, "a")}}))
	}
	for _, w := range []*Watch{slow, other} {
		touched, err := w.Next(ctx)
		must(t, err)
		if len(touched.Workloads) != 3 || len(touched.Services) != 1 || touched.Version != c.View().Version() {
			t.Errorf("got %+v", touched)
		}
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := slow.Next(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("nothing is pending and ctx ended: got %v", err)
	}
}

func TestSyncedWhenEveryDoorHas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, ctx := running(t, Config{Doors: []string{"file", "registrations"}})
		isSynced := func() bool {
			synctest.Wait()
			select {
			case <-c.Synced():
				return true
			default:
				return false
			}
		}
		for _, door := range []string{"file", "file", "nobody"} {
			must(t, c.Sync(ctx, door))
			if isSynced() {
				t.Fatalf("synced after %q", door)
			}
		}
		must(t, c.Sync(ctx, "registrations"))
		if !isSynced() {
			t.Error("not synced after every door")
		}
		must(t, c.Sync(ctx, "file"))
	})
}

func TestApplyAfterTheEnd(t *testing.T) {
	c := New(Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	must(t, c.Run(ctx))
	if err := c.Apply(t.Context(), "file", nil); !errors.Is(err, ErrStopped) {
		t.Errorf("got %v, want ErrStopped", err)
	}
}

func TestLookups(t *testing.T) {
	ix := NewIndex(Settings{}, mesh.Version{})
	addr := netip.MustParseAddr("10.9.0.1")
	put := func(c ...Change) {
		t.Helper()
		var err error
		ix, _, err = ix.With("file", c)
		must(t, err)
	}
	put(PutService{Service{Name: shop("b"), Addrs: []netip.Addr{addr}}}, PutService{Service{Name: shop("a"), Addrs: []netip.Addr{addr}}})
	put(PutEndpointSlice{EndpointSlice{Key: Key{"shop", "s"}, Service: shop("a"), Endpoints: []SliceEndpoint{{Addr: addr}}}})
	put(PutPolicy{Policy{Key: Key{"shop", "p"}}}, PutWorkload{testWorkload(1, "z")})

	if got := ix.ServicesAt(addr); len(got) != 2 || got[0].Name != shop("a") {
		t.Errorf("services at the address: %v", got)
	}
	if got := ix.Services(); !slices.Equal(got, []mesh.ServiceName{shop("a"), shop("b"), shop("z")}) {
		t.Errorf("all services: %v", got)
	}
	if len(ix.SlicesAt(addr)) != 1 || len(ix.SlicesOf(shop("a"))) != 1 || len(ix.PoliciesIn("shop")) != 1 || len(ix.Workloads()) != 1 {
		t.Error("something is missing")
	}
	if !ix.Known(shop("z")) || ix.Known(shop("y")) {
		t.Error("known is wrong")
	}
	put(PutEndpointSlice{EndpointSlice{Key: Key{"shop", "s"}, Service: shop("b")}})
	if len(ix.SlicesAt(addr)) != 0 || len(ix.SlicesOf(shop("a"))) != 0 || len(ix.SlicesOf(shop("b"))) != 1 {
		t.Error("a slice that moved is still at its old place")
	}
	if s, sl, r, p, w := ix.Count(); s != 2 || sl != 1 || r != 0 || p != 1 || w != 1 {
		t.Errorf("counted %d %d %d %d %d", s, sl, r, p, w)
	}
}

// BenchmarkOneEndpoint changes one of 10,000 endpoints of 1,000 services.
func BenchmarkOneEndpoint(b *testing.B) {
	ix := NewIndex(Settings{}, mesh.Version{})
	var batch []Change
	for i := range 10_000 {
		batch = append(batch, PutWorkload{testWorkload(i, fmt.Sprintf("s%d", i%1000))})
	}
	ix, _, err := ix.With("registrations", batch)
	if err != nil {
		b.Fatal(err)
	}
	w := testWorkload(777, "s777")
	b.ReportAllocs()
	for b.Loop() {
		w.State ^= 1
		if ix, _, err = ix.With("registrations", []Change{PutWorkload{w}}); err != nil {
			b.Fatal(err)
		}
	}
}
