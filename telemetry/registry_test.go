package telemetry

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func web(i int) Edge {
	return Edge{
		Direction: Outbound, TLS: true, Authority: "cart.shop", DstNamespace: "shop", DstService: "cart",
		ClientID: "spiffe://cluster.local/ns/shop/sa/web", ServerID: "spiffe://cluster.local/ns/shop/sa/cart",
		DstPod: fmt.Sprintf("cart-%d", i),
	}
}

// scrape reads the registry as Prometheus does.
func scrape(t *testing.T, r *Registry) map[string]*dto.MetricFamily {
	t.Helper()
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(&b)
	if err != nil {
		t.Fatalf("Prometheus does not read it: %v", err)
	}
	return families
}

// sum adds up a counter family over the series that have all the labels.
func sum(f *dto.MetricFamily, want ...string) (total float64) {
	for _, m := range f.GetMetric() {
		have := ""
		for _, l := range m.GetLabel() {
			have += l.GetName() + "=" + l.GetValue() + ","
		}
		ok := true
		for _, w := range want {
			ok = ok && strings.Contains(have, w+",")
		}
		if ok {
			total += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return total
}

func TestTextReadByPrometheus(t *testing.T) {
	r := NewRegistry(Config{Version: "1.2", Stage: func(string) string { return "route" }})
	h := r.HTTP(web(1))
	for range 3 {
		h.Request()
	}
	h.Response(200, -1, true, 500*time.Microsecond)
	h.Response(200, 0, true, 4*time.Millisecond)
	h.Response(503, -1, false, 90*time.Second)
	h.Response(77, -1, false, -time.Second)
	h.Failed("denied")
	c := r.TCP(Edge{Direction: Inbound, NoTLSReason: "unknown", Authority: "a\"b\\c\nd\xff" + strings.Repeat("x", 400)})
	c.Open()
	c.Open()
	c.Close("")
	c.Read(10)
	c.Write(20)
	a := r.Authz(Edge{Direction: Inbound, TLS: true}, false, "shop/allow")
	a.Allow()
	a.Deny()
	r.Certificate().Renewed(time.Unix(1000, 0))
	r.Failed(Inbound, "bad-request")

	f := scrape(t, r)
	checks := []struct {
		name   string
		labels []string
		want   float64
	}{
		{requestTotal, []string{"direction=outbound", "tls=true", "dst_service=cart", "dst_pod=cart-1"}, 3},
		{responseTotal, []string{"classification=success", "status_code=200"}, 2},
		{responseTotal, []string{"grpc_status_code=0"}, 1},
		{responseTotal, []string{"classification=failure", "status_code=503"}, 1},
		{responseTotal, []string{"status_code=other"}, 1},
		{failuresTotal, []string{"reason=denied", "stage=route", "dst_service=cart"}, 1},
		{failuresTotal, []string{"reason=bad-request", "direction=inbound"}, 1},
		{tcpOpenTotal, []string{"tls=false", "no_tls_reason=unknown"}, 2},
		{tcpCloseTotal, nil, 1},
		{tcpOpen, nil, 1},
		{tcpReadBytes, nil, 10},
		{tcpWriteBytes, nil, 20},
		{httpAllow, []string{"authz_name=shop/allow"}, 1},
		{httpDeny, nil, 1},
		{"identity_cert_expiration_timestamp_seconds", nil, 1000},
		{"identity_cert_refresh_count", nil, 1},
		{"proxy_build_info", []string{"version=1.2"}, 1},
	}
	for _, c := range checks {
		if got := sum(f[c.name], c.labels...); got != c.want {
			t.Errorf("%s%v = %v, want %v", c.name, c.labels, got, c.want)
		}
	}
	for _, name := range []string{"process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total", "go_goroutines", "process_start_time_seconds"} {
		if sum(f[name]) <= 0 {
			t.Errorf("%s is not there", name)
		}
	}
	latency := f[responseLatency].GetMetric()[0].GetHistogram()
	if latency.GetSampleCount() != 4 || len(latency.GetBucket()) != buckets {
		t.Errorf("latency: %d samples in %d buckets", latency.GetSampleCount(), len(latency.GetBucket()))
	}
	for i, want := range map[int]uint64{0: 2, 3: 3, 24: 3, 25: 4} {
		if got := latency.GetBucket()[i].GetCumulativeCount(); got != want {
			t.Errorf("bucket %d holds %d, want %d", i, got, want)
		}
	}
	if got := latency.GetSampleSum(); got != 90004.5 {
		t.Errorf("latency sum = %v ms", got)
	}
}

func TestTextKeepsOrder(t *testing.T) {
	r := NewRegistry(Config{})
	for i := range 20 {
		r.HTTP(web(i)).Response(200, -1, true, 0)
	}
	names := func() string {
		var b, out bytes.Buffer
		_ = r.WriteText(&b)
		for line := range strings.Lines(b.String()) {
			out.WriteString(line[:strings.LastIndexByte(line, ' ')] + "\n")
		}
		return out.String()
	}
	if a, b := names(), names(); a != b {
		t.Error("two readings differ in their order")
	}
}

func TestSameEdgeSameCounters(t *testing.T) {
	r := NewRegistry(Config{})
	if r.HTTP(web(1)) != r.HTTP(web(1)) || r.HTTP(web(1)) == r.HTTP(web(2)) {
		t.Error("edges are not told apart by value")
	}
}

// TestSameCounter: who counts something now and then asks for its counter each
// time.
func TestSameCounter(t *testing.T) {
	r := NewRegistry(Config{})
	before := r.nextID
	for range 100 {
		r.Counter("leno_things_total", "Things.", Label{"side", "left"}).Add(1)
		r.Counter("leno_things_total", "Things.", Label{"side", "right"}).Add(2)
	}
	if n := r.nextID - before; n != 2 {
		t.Errorf("%d series for two counters", n)
	}
	if f := scrape(t, r)["leno_things_total"]; len(f.GetMetric()) != 2 || sum(f, "side=left") != 100 || sum(f, "side=right") != 200 {
		t.Errorf("%v", f)
	}
}

func TestEdgesPastTheLimitFold(t *testing.T) {
	r := NewRegistry(Config{MaxSeries: 30})
	for i := range 100 {
		h := r.HTTP(web(i))
		h.Request()
		h.Response(200, -1, true, 0)
		c := r.TCP(web(i))
		c.Open()
		c.Close("")
	}
	f := scrape(t, r)
	for _, name := range []string{requestTotal, responseTotal, tcpOpenTotal, tcpCloseTotal} {
		if got := sum(f[name]); got != 100 {
			t.Errorf("%s = %v over all edges, want 100: something was lost", name, got)
		}
	}
	if sum(f[requestTotal], "dst_service=other") == 0 || sum(f["leno_folded_edges_total"]) == 0 {
		t.Error("nothing was folded into other")
	}
	if n := len(f[requestTotal].GetMetric()); n > 12 {
		t.Errorf("%d series of %s past the limit", n, requestTotal)
	}
}

func TestManyStatusesFold(t *testing.T) {
	r := NewRegistry(Config{})
	h := r.HTTP(web(1))
	for s := 100; s < 600; s++ {
		h.Response(s, s%17, s < 500, 0)
	}
	f := scrape(t, r)
	if got := sum(f[responseTotal]); got != 500 {
		t.Errorf("responses = %v, want 500", got)
	}
	if n := len(f[responseTotal].GetMetric()); n > maxCells+2 {
		t.Errorf("%d series for one edge", n)
	}
}

func TestReleasedEdgesRetireWithoutLoss(t *testing.T) {
	r := NewRegistry(Config{MaxSeries: 30})
	for i := range 100 {
		h := r.HTTP(web(i))
		h.Request()
		h.Response(200, -1, true, 0)
		h.Release()
	}
	f := scrape(t, r)
	if got := sum(f["leno_folded_edges_total"]); got != 0 {
		t.Errorf("%v edges folded although there was room to make", got)
	}
	live, kept := sum(f[requestTotal]), sum(f["leno_retired_total"], "metric="+requestTotal)
	if live+kept != 100 || kept == 0 {
		t.Errorf("%v live and %v retired requests, want 100 together", live, kept)
	}
	if sum(f[requestTotal], "dst_pod=cart-99") != 1 {
		t.Error("the newest edge is not there")
	}
}

func TestReleasedEdgeInUseAgainStays(t *testing.T) {
	r := NewRegistry(Config{MaxSeries: 12})
	first := r.HTTP(web(0))
	first.Release()
	if r.HTTP(web(0)) != first {
		t.Fatal("other counters for the same edge")
	}
	for i := 1; i < 50; i++ {
		r.HTTP(web(i)).Release()
	}
	first.Request()
	if sum(scrape(t, r)[requestTotal], "dst_pod=cart-0") != 1 {
		t.Error("an edge in use was retired")
	}
}

func TestConcurrentUse(t *testing.T) {
	r := NewRegistry(Config{MaxSeries: 60})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 200 {
				h := r.HTTP(web(i % 20))
				h.Request()
				h.Response(200+(i+g)%40, -1, true, time.Millisecond)
				h.Failed("timeout")
				h.Release()
				if i%50 == 0 {
					_ = r.WriteText(&bytes.Buffer{})
				}
			}
		})
	}
	wg.Wait()
	f := scrape(t, r)
	if got := sum(f[requestTotal]) + sum(f["leno_retired_total"], "metric="+requestTotal); got != 1600 {
		t.Errorf("requests = %v, want 1600", got)
	}
}

func TestCountingDoesNotAllocate(t *testing.T) {
	r := NewRegistry(Config{})
	h, c := r.HTTP(web(1)), r.TCP(web(1))
	count := func() {
		h.Request()
		h.Response(200, -1, true, time.Millisecond)
		h.Failed("timeout")
		c.Open()
		c.Read(1)
		c.Write(1)
		c.Close("")
	}
	count()
	if n := testing.AllocsPerRun(100, count); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkHTTP(b *testing.B) {
	h := NewRegistry(Config{}).HTTP(web(1))
	b.ReportAllocs()
	for b.Loop() {
		h.Request()
		h.Response(200, -1, true, 700*time.Microsecond)
	}
}

func BenchmarkHTTPParallel(b *testing.B) {
	h := NewRegistry(Config{}).HTTP(web(1))
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			h.Request()
			h.Response(200, -1, true, 700*time.Microsecond)
		}
	})
}
