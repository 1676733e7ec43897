package store

import (
	"context"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/leno-mesh/leno/telemetry"
	"github.com/leno-mesh/leno/wire/gen"
)

// FuzzPush feeds a store what no proxy sends. Nothing may panic, no bound may
// be passed, and every sample that is written must be taken.
func FuzzPush(f *testing.F) {
	for _, seed := range seeds(f) {
		f.Add(seed, uint8(0))
		f.Add(seed, uint8(0x1b))
	}
	store, err := Open(Config{Dir: f.TempDir(), MaxSeries: 60, MaxSeriesPerProxy: 30, MaxProxies: 4, Expire: 1000 * time.Hour})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = store.Close() })
	at := time.Now()
	f.Fuzz(func(t *testing.T, data []byte, how uint8) {
		m := &gen.PushRequest{}
		if proto.Unmarshal(data, m) != nil {
			return
		}
		if how&1 == 0 { // reach behind the first checks
			m.StartId, m.Begin, m.Sequence = []byte{1 + how>>6}, true, 1
		}
		from := Reporter{Workload: "w", Namespace: "ns", Name: "n" + string(rune('a'+how>>1&1))}
		for range 2 {
			_, _ = store.Apply(from, m)
		}
		at = at.Add(5 * time.Millisecond)
		if err := store.tick(context.Background(), at); err != nil {
			t.Fatalf("tick: %v", err)
		}
		invariants(t, store)
	})
}

func invariants(t *testing.T, s *Store) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	total := 0
	for _, p := range append([]*proxy{s.overflow}, s.ending...) {
		total += p.own
	}
	for _, p := range s.proxies {
		own := 0
		for _, l := range p.all {
			if l.fold == nil {
				own++
			}
		}
		if own != p.own || p.own > s.cfg.MaxSeriesPerProxy+maxFolds || len(p.ids) > 4*s.cfg.MaxSeriesPerProxy {
			t.Fatalf("a proxy has %d series of its own, counted as %d, and %d numbers", own, p.own, len(p.ids))
		}
		total += p.own
	}
	if total != s.series || s.series > s.cfg.MaxSeries+maxFolds*(len(s.proxies)+1) {
		t.Fatalf("%d series, counted as %d", total, s.series)
	}
}

// seeds are messages that a real proxy sends.
func seeds(f *testing.F) (out [][]byte) {
	reg := telemetry.NewRegistry(telemetry.Config{})
	var c telemetry.Cursor
	for i := range 3 {
		h := reg.HTTP(cart)
		h.Request()
		h.Response(200+i, -1, true, time.Duration(i)*time.Second)
		reg.TCP(own).Open()
		for _, m := range reg.Collect(&c, true) {
			m.StartId = []byte("run")
			data, err := proto.Marshal(m)
			if err != nil {
				f.Fatal(err)
			}
			out = append(out, data)
		}
	}
	return out
}
