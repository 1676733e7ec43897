package store

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"go.uber.org/goleak"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/telemetry"
	"github.com/leno-mesh/leno/wire/gen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a store and the proxies that push to it, in fake time. Each part
// is real but for the network between them.
type world struct {
	t     *testing.T
	cfg   Config
	store *Store
	stop  func()
	// serving is the store while it can be reached.
	serving atomic.Pointer[Store]

	maxSeries int // of the proxies
	processes []*process
}

// inWorld plays a script with a running store.
func inWorld(t *testing.T, cfg Config, script func(*world)) {
	t.Helper()
	cfg.Dir = t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, cfg: cfg}
		w.open()
		defer func() {
			w.close()
			for _, p := range w.processes {
				p.kill()
			}
		}()
		script(w)
	})
}

func (w *world) open() {
	w.t.Helper()
	var err error
	if w.store, err = Open(w.cfg); err != nil {
		w.t.Fatal(err)
	}
	w.serving.Store(w.store)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- w.store.Run(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			w.t.Errorf("Run: %v", err)
		}
	}
}

func (w *world) close() {
	w.serving.Store(nil)
	w.stop()
	if err := w.store.Close(); err != nil {
		w.t.Error(err)
	}
}

// pass lets fake time go by.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// process is one run of a proxy.
type process struct {
	*telemetry.Registry
	kill func() // without a last word
}

// proxy starts a process that pushes as the given instance of a service.
func (w *world) proxy(service, instance string) *process {
	reg := telemetry.NewRegistry(telemetry.Config{MaxSeries: w.maxSeries, Version: "1.0"})
	ctx, cancel := context.WithCancel(context.Background())
	dead := make(chan struct{})
	from := Reporter{
		Workload: mesh.WorkloadID(instance + "-uid"), Namespace: "shop", ServiceAccount: service,
		Name: instance, Services: []string{service},
	}
	pusher := telemetry.NewPusher(telemetry.PusherConfig{
		Registry: reg,
		Push: func(_ context.Context, m *gen.PushRequest) (*gen.PushResponse, error) {
			server := w.serving.Load()
			if server == nil || ctx.Err() != nil {
				return nil, errors.New("connection refused")
			}
			return server.Apply(from, m)
		},
	})
	go func() { _ = pusher.Run(ctx); close(dead) }()
	p := &process{Registry: reg, kill: func() { cancel(); <-dead }}
	w.processes = append(w.processes, p)
	return p
}

// ask evaluates a query at the newest samples: the sum of what it gives, or
// NaN for nothing.
func (w *world) ask(format string, args ...any) float64 {
	w.t.Helper()
	expr := fmt.Sprintf(format, args...)
	total := math.NaN()
	err := w.store.Query(w.t.Context(), expr, w.store.now(), func(v parser.Value) error {
		for i, m := range v.(promql.Vector) {
			if i == 0 {
				total = 0
			}
			total += m.F
		}
		return nil
	})
	if err != nil {
		w.t.Fatalf("%s: %v", expr, err)
	}
	return total
}

// near checks a query's answer within a share of it: PromQL extrapolates.
func (w *world) near(want, share float64, format string, args ...any) {
	w.t.Helper()
	if got := w.ask(format, args...); math.Abs(got-want) > share*want || math.IsNaN(got) {
		w.t.Errorf("%s = %v, want about %v", fmt.Sprintf(format, args...), got, want)
	}
}

func (w *world) none(format string, args ...any) {
	w.t.Helper()
	if got := w.ask(format, args...); !math.IsNaN(got) {
		w.t.Errorf("%s = %v, want nothing", fmt.Sprintf(format, args...), got)
	}
}

var cart = telemetry.Edge{
	Direction: telemetry.Outbound, TLS: true, DstNamespace: "shop", DstService: "cart",
	ClientID: "spiffe://mesh/ns/shop/sa/web", ServerID: "spiffe://mesh/ns/shop/sa/cart",
}

var own = telemetry.Edge{Direction: telemetry.Inbound, TLS: true, DstNamespace: "shop", DstService: "cart"}

func requests(h *telemetry.HTTP, n int) {
	for range n {
		h.Request()
		h.Response(200, -1, true, 3*time.Millisecond)
	}
}

// steady sends n requests each second.
func steady(h *telemetry.HTTP, n, seconds int) {
	for range seconds {
		requests(h, n)
		pass(time.Second)
	}
}

func TestTheFirstRequestCounts(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		p := w.proxy("web", "web-1")
		pass(30 * time.Second)
		requests(p.HTTP(cart), 7)
		pass(20 * time.Second)
		w.near(7, 0.1, `increase(request_total{dst_service="cart"}[1m])`)
		w.near(7, 0.1, `increase(response_latency_ms_count[1m])`)
		w.near(7, 0, `request_total{namespace="shop",deployment="web",pod="web-1",instance="web-1-uid",tls="true"}`)
	})
}

func TestIdleSeriesHaveNoGap(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		requests(w.proxy("web", "web-1").HTTP(cart), 7)
		pass(10 * time.Minute)
		w.near(7, 0, `request_total`)
		w.near(0, 0, `rate(request_total[1m])`)
		w.near(300, 0.01, `count_over_time(request_total[5m])`)
	})
}

func TestRateIsTrue(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		steady(w.proxy("web", "web-1").HTTP(cart), 20, 60)
		// A push comes every second give or take a tenth, so that the ends of
		// the window may each be that much off: 1.1 s in 10 s, and the rest.
		w.near(20, 0.15, `rate(request_total[10s])`)
		w.near(20, 0.05, `rate(request_total[30s])`)
		w.near(20, 0.05, `rate(response_latency_ms_bucket{le="3"}[30s])`)
		w.near(0, 0, `rate(response_latency_ms_bucket{le="2"}[30s])`)
		w.near(20*26-2*20, 0.05, `rate(response_latency_ms_bucket[30s])`)
		w.near(60, 0.05, `rate(response_latency_ms_sum[30s])`)
		w.near(2.5, 0.01, `histogram_quantile(0.5, rate(response_latency_ms[30s]))`)
		w.near(2.5, 0.01, `histogram_quantile(0.5, sum by (le) (rate(response_latency_ms_bucket[30s])))`)
	})
}

func TestProxyRestartShowsNoJump(t *testing.T) {
	for _, more := range []int{1, 5} { // the new run stays below the old one, or passes it at once
		inWorld(t, Config{}, func(w *world) {
			p := w.proxy("web", "web-1")
			steady(p.HTTP(cart), 10, 30)
			p.kill()
			pass(2 * time.Second)
			q := w.proxy("web", "web-1")
			h := q.HTTP(cart)
			requests(h, 300*more)
			pass(5 * time.Second)
			// A window of 8 s: a longer one has some of the old run's in it.
			w.near(float64(300*more), 0.15, `increase(request_total[8s])`)
			w.near(float64(300+300*more), 0.1, `increase(request_total[1m])`)
		})
	}
}

func TestServerRestartShowsNoJump(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		h := w.proxy("web", "web-1").HTTP(cart)
		steady(h, 10, 60)
		w.close()
		pass(5 * time.Second)
		w.open()
		steady(h, 10, 60)
		w.near(10, 0.1, `rate(request_total[30s])`)
		w.near(1200, 0.1, `increase(request_total[3m])`)
		w.near(10, 0.25, `max_over_time(rate(request_total[10s])[1m:1s])`)
	})
}

func TestServerRestartRightAfterABirth(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		p := w.proxy("web", "web-1")
		pass(5 * time.Second)
		requests(p.HTTP(cart), 100)
		pass(3 * time.Second)
		w.close()
		pass(time.Second)
		w.open()
		pass(10 * time.Second)
		w.near(100, 0.1, `increase(request_total[1m])`)
	})
}

func TestServerWithoutItsDataShowsNoJump(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		h := w.proxy("web", "web-1").HTTP(cart)
		steady(h, 10, 60)
		w.close()
		w.cfg.Dir = w.t.TempDir()
		w.open()
		steady(h, 10, 60)
		w.near(10, 0.25, `max_over_time(rate(request_total[10s])[1m:1s])`)
	})
}

func TestStaleAfterDeath(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		p := w.proxy("web", "web-1")
		requests(p.HTTP(cart), 7)
		pass(10 * time.Second)
		p.kill()
		pass(15 * time.Second)
		w.near(7, 0, `request_total`)
		pass(15 * time.Second)
		w.none(`request_total`)
		w.none(`response_latency_ms`)
		w.none(`response_latency_ms_bucket`)
	})
}

func TestForgottenProxyEndsAtOnce(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		p := w.proxy("web", "web-1")
		requests(p.HTTP(cart), 7)
		pass(10 * time.Second)
		p.kill()
		w.store.Forget("web-1-uid")
		pass(2 * time.Second)
		w.none(`request_total`)
		q := w.proxy("web", "web-1")
		requests(q.HTTP(cart), 5)
		pass(5 * time.Second)
		w.near(12, 0.15, `increase(request_total[30s])`)
	})
}

func TestProxyThatLostTheServerGoesOn(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		h := w.proxy("web", "web-1").HTTP(cart)
		steady(h, 10, 30)
		w.close()
		steady(h, 10, 60)
		w.open()
		pass(time.Minute)
		w.near(900, 0.05, `request_total`)
		w.near(900, 0.1, `increase(request_total[4m])`)
	})
}

func TestSeriesPastTheLimitFold(t *testing.T) {
	for name, cfg := range map[string]Config{
		"one proxy": {MaxSeriesPerProxy: 110}, "all": {MaxSeries: 40},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, cfg, func(w *world) {
				p := w.proxy("web", "web-1")
				pass(20 * time.Second)
				for round := range 3 {
					for i := range 100 {
						e := cart
						e.DstPod = "cart-" + strconv.Itoa(i)
						requests(p.HTTP(e), 1)
					}
					pass(15 * time.Second)
					w.near(float64(100*(round+1)), 0, `sum(request_total)`)
					w.near(float64(100*(round+1)), 0, `sum(response_total{classification="success"})`)
					w.near(float64(100*(round+1)), 0, `sum(response_latency_ms_count)`)
				}
				if w.ask(`count({instance="web-1-uid"})`) > 125 || w.ask(`sum(response_total{dst_service="other"})`) < 100 {
					t.Error("nothing was folded")
				}
				w.near(3, 1e9, `leno_store_folded_series_total > 0`)
				w.near(300, 0.1, `sum(increase(request_total[2m]))`)
			})
		})
	}
}

func TestFarPastTheLimitIsLeftOut(t *testing.T) {
	inWorld(t, Config{MaxSeriesPerProxy: 20}, func(w *world) {
		p := w.proxy("web", "web-1")
		for i := range 100 {
			e := cart
			e.DstPod = "cart-" + strconv.Itoa(i)
			requests(p.HTTP(e), 1)
		}
		pass(20 * time.Second)
		if got := w.ask(`sum(request_total)`); got < 10 || got > 100 {
			t.Errorf("%v requests, want some of them", got)
		}
		if w.ask(`leno_store_dropped_series_total`) == 0 {
			t.Error("series were left out, and nobody counted them")
		}
	})
}

func TestEdgeThatEndedIsStale(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		w.maxSeries = 30
		p := w.proxy("web", "web-1")
		for i := range 30 {
			e := cart
			e.DstPod = "cart-" + strconv.Itoa(i)
			h := p.HTTP(e)
			requests(h, 10)
			pass(2 * time.Second)
			h.Release()
		}
		w.none(`request_total{dst_pod="cart-0"}`)
		w.near(10, 0, `request_total{dst_pod="cart-29"}`)
		w.near(300, 0.1, `sum(increase(request_total[2m]))`)
		w.near(300, 0, `sum(request_total) + sum(leno_retired_total{metric="request_total"})`)
	})
}

func TestReporterWithOtherLabels(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		m := report(&gen.Series{Id: 1, Metric: "m", Kind: gen.Series_KIND_GAUGE})
		for _, name := range []string{"a", "b"} {
			if resp, err := w.store.Apply(Reporter{Workload: "x", Name: name}, m); err != nil || resp.GetResync() {
				w.t.Fatal(resp, err)
			}
			pass(3 * time.Second)
		}
		w.none(`m{pod="a"}`)
		w.near(1, 0, `m{pod="b"}`)
	})
}

func TestUnknownReportIsAskedForAgain(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		first := report(&gen.Series{Id: 1, Metric: "m", Kind: gen.Series_KIND_COUNTER})
		value := func(sequence uint64, start string, id uint32) *gen.PushRequest {
			return &gen.PushRequest{StartId: []byte(start), Sequence: sequence, Ids: []uint32{id}, Values: []float64{2}}
		}
		for _, step := range []struct {
			m    *gen.PushRequest
			want bool
		}{
			{value(2, "run", 1), true}, // never heard of
			{first, false},
			{value(2, "run", 1), false},
			{value(4, "run", 1), true}, // one was lost
			{value(5, "run", 1), true},
			{first, false},
			{value(2, "other", 1), true}, // another run
			{first, false},
			{value(2, "run", 7), true}, // never defined
		} {
			resp, err := w.store.Apply(Reporter{Workload: "x"}, step.m)
			if err != nil || resp.GetResync() != step.want {
				t.Errorf("sequence %d of %s: %v, %v", step.m.GetSequence(), step.m.GetStartId(), resp, err)
			}
		}
	})
}

func TestProcesses(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		end := time.Now().Add(time.Hour).Truncate(time.Second)
		w.proxy("web", "web-1").Certificate().Renewed(end)
		pass(3 * time.Second)
		all := w.store.Processes()
		if len(all) != 1 {
			w.t.Fatalf("%+v", all)
		}
		p := all[0]
		if p.Workload != "web-1-uid" || p.Name != "web-1" || p.Version != "1.0" || p.RSSBytes == 0 || p.CPUSeconds == 0 ||
			!p.CertificateEnd.Equal(end) || p.Started.IsZero() {
			t.Errorf("%+v", p)
		}
	})
}

func TestTickStretches(t *testing.T) {
	s := &Store{cfg: Config{}.withDefaults()}
	for series, want := range map[int]time.Duration{0: time.Second, 5_000: time.Second, 15_000: 3 * time.Second, 1_000_000: 5 * time.Second} {
		s.series = series
		if got := s.interval(); got != want {
			t.Errorf("%d series: a tick of %v, want %v", series, got, want)
		}
	}
}

func TestReporterCannotSayWhoItIs(t *testing.T) {
	inWorld(t, Config{}, func(w *world) {
		for _, label := range append([]string{"__name__", "le", "1x", ""}, reporterLabels...) {
			m := report(&gen.Series{Id: 1, Metric: "m", Kind: gen.Series_KIND_COUNTER, Names: []string{label}, Values: []string{"v"}})
			if _, err := w.store.Apply(Reporter{Workload: "x"}, m); err == nil {
				t.Errorf("label %q was taken from the message", label)
			}
		}
	})
}

func report(s ...*gen.Series) *gen.PushRequest {
	m := &gen.PushRequest{StartId: []byte("run"), Sequence: 1, Begin: true, Whole: true, Series: s}
	for _, one := range s {
		m.Ids = append(m.Ids, one.GetId())
		m.Values = append(m.Values, 1)
	}
	return m
}
