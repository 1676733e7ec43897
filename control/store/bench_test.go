package store

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/telemetry"
)

// BenchmarkTick is the cost of one tick of 1,000 proxies with 5 destinations
// and 5 callers each, all of them busy.
func BenchmarkTick(b *testing.B) {
	s, err := Open(Config{Dir: b.TempDir(), Expire: time.Hour})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	before := heap()
	push := manyProxies(b, s, 1000)
	at := time.Now()
	tick := func() {
		at = at.Add(5 * time.Second)
		if err := s.tick(b.Context(), at); err != nil {
			b.Fatal(err)
		}
	}
	push()
	tick()
	var spent time.Duration
	for b.Loop() {
		b.StopTimer()
		start := time.Now()
		push()
		spent += time.Since(start)
		b.StartTimer()
		tick()
	}
	b.ReportMetric(float64(s.series), "series")
	b.ReportMetric(float64(heap()-before)/1e6, "MB")
	b.ReportMetric(float64(spent.Milliseconds())/float64(b.N), "ms/pushes")
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// manyProxies gives a function that has every proxy count and push.
func manyProxies(b *testing.B, s *Store, n int) func() {
	// One registry stands for all: they differ in who reports.
	reg := telemetry.NewRegistry(telemetry.Config{Version: "1"})
	var edges []*telemetry.HTTP
	for i := range 5 {
		for _, e := range []telemetry.Edge{cart, own} {
			e.DstPod = fmt.Sprint("pod-", i)
			edges = append(edges, reg.HTTP(e))
			reg.TCP(e).Open()
		}
	}
	cursors := make([]telemetry.Cursor, n)
	return func() {
		for i, h := range edges {
			h.Response(200, -1, true, time.Duration(i)*time.Millisecond)
			h.Request()
		}
		for i := range cursors {
			for _, m := range reg.Collect(&cursors[i], true) {
				m.StartId = []byte("run")
				from := Reporter{Workload: mesh.WorkloadID(fmt.Sprint(i)), Namespace: "ns", Name: fmt.Sprint("pod-", i), Services: []string{fmt.Sprint("svc-", i/3)}}
				if resp, err := s.Apply(from, m); err != nil || resp.GetResync() {
					b.Fatal(resp, err)
				}
			}
		}
	}
}
