package telemetry

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/leno-mesh/leno/wire/gen"
)

// receiver is a model of the control plane's side: it knows nothing but the
// messages.
type receiver struct {
	t        *testing.T
	mu       sync.Mutex // held by the script, but while it lets time pass
	sequence uint64
	sets     map[uint32]string
	series   map[uint32]*received
	messages int
	largest  int
	reports  int
	fail     error
	resync   bool
	interval uint32
}

type received struct {
	name   string
	value  float64
	known  bool
	values int
}

func (r *receiver) push(_ context.Context, m *gen.PushRequest) (*gen.PushResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fail != nil {
		return nil, r.fail
	}
	if r.resync {
		r.resync = false
		return &gen.PushResponse{Resync: true}, nil
	}
	r.messages++
	r.largest = max(r.largest, proto.Size(m))
	if m.GetBegin() {
		r.reports++
		r.sequence, r.sets, r.series = 0, map[uint32]string{}, map[uint32]*received{}
	}
	r.sequence++
	if m.GetSequence() != r.sequence {
		r.t.Errorf("sequence %d, want %d", m.GetSequence(), r.sequence)
	}
	for _, s := range m.GetLabelSets() {
		r.sets[s.GetId()] = strings.Join(s.GetValues(), ",")
	}
	for _, s := range m.GetSeries() {
		if _, ok := r.sets[s.GetLabelSet()]; !ok && s.GetLabelSet() != 0 {
			r.t.Errorf("series %s names label set %d, which is not defined", s.GetMetric(), s.GetLabelSet())
		}
		r.series[s.GetId()] = &received{
			name:  s.GetMetric() + "/" + r.sets[s.GetLabelSet()] + "/" + strings.Join(s.GetValues(), ","),
			known: s.GetKnown(),
		}
	}
	for i, id := range m.GetIds() {
		r.series[id].value = m.GetValues()[i]
		r.series[id].values++
	}
	for _, h := range m.GetHistograms() {
		r.series[h.GetId()].value = 0
		for _, n := range h.GetCounts() {
			r.series[h.GetId()].value += float64(n)
		}
	}
	for _, id := range m.GetEnded() {
		if r.series[id] == nil {
			r.t.Errorf("series %d ended, but was not defined", id)
		}
		delete(r.series, id)
	}
	return &gen.PushResponse{IntervalMs: r.interval}, nil
}

func (r *receiver) find(part string) (found []*received) {
	for _, s := range r.series {
		if strings.Contains(s.name, part) {
			found = append(found, s)
		}
	}
	return found
}

// agrees compares what was received with the registry, but for what changes
// by itself.
func (r *receiver) agrees(reg *Registry) {
	r.t.Helper()
	want, got := map[string]float64{}, map[string]float64{}
	reg.each(func(f *family, all []*series) {
		for _, s := range all {
			set := ""
			if s.set != nil {
				var v []string
				for _, l := range s.set.labels {
					v = append(v, l.Value)
				}
				set = strings.Join(v, ",")
			}
			var v []string
			for _, l := range s.extra {
				v = append(v, l.Value)
			}
			if !f.quiet {
				want[f.name+"/"+set+"/"+strings.Join(v, ",")] = s.mark()
			}
		}
	})
	for _, s := range r.series {
		if f := reg.byName[s.name[:strings.IndexByte(s.name, '/')]]; !f.quiet {
			got[s.name] = s.value
		}
	}
	if !maps.Equal(want, got) {
		r.t.Errorf("the receiver has %d series, the registry %d, or their values differ", len(got), len(want))
	}
}

// pushing runs a pusher inside a bubble while the script plays.
func pushing(t *testing.T, cfg Config, script func(*Registry, *receiver)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		reg, rec := NewRegistry(cfg), &receiver{t: t}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- NewPusher(PusherConfig{Registry: reg, Push: rec.push}).Run(ctx) }()
		rec.mu.Lock()
		rec.pass(3 * time.Second)
		script(reg, rec)
		rec.mu.Unlock()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run returned %v", err)
		}
	})
}

// pass lets fake time go by; in a bubble it takes none.
func (r *receiver) pass(d time.Duration) {
	r.mu.Unlock()
	defer r.mu.Lock()
	time.Sleep(d)
	synctest.Wait()
}

func TestPushChangesOnly(t *testing.T) {
	pushing(t, Config{}, func(reg *Registry, rec *receiver) {
		a, b := reg.HTTP(web(1)), reg.HTTP(web(2))
		a.Request()
		b.Request()
		rec.pass(2 * time.Second)
		rec.agrees(reg)
		before := rec.find(requestTotal + "/outbound")
		a.Request()
		a.Response(200, 0, true, time.Millisecond)
		rec.pass(2 * time.Second)
		rec.agrees(reg)
		if rec.reports != 1 {
			t.Errorf("%d reports, want 1", rec.reports)
		}
		counts := []int{}
		for _, s := range before {
			counts = append(counts, s.values)
		}
		slices.Sort(counts)
		if !slices.Equal(counts, []int{1, 2}) {
			t.Errorf("values were sent %v times, want once and twice", counts)
		}
	})
}

func TestPushIdleIsQuiet(t *testing.T) {
	pushing(t, Config{}, func(_ *Registry, rec *receiver) {
		before := rec.messages
		rec.pass(time.Minute)
		if n := rec.messages - before; n < 4 || n > 6 {
			t.Errorf("%d messages in an idle minute, want one per heartbeat", n)
		}
	})
}

func TestPushBoundsMessages(t *testing.T) {
	pushing(t, Config{MaxSeries: 20000}, func(reg *Registry, rec *receiver) {
		for i := range 3000 {
			e := web(i)
			e.Authority = strings.Repeat("a", maxLabel)
			reg.HTTP(e).Request()
		}
		rec.pass(2 * time.Second)
		rec.agrees(reg)
		if rec.messages < 3 || rec.largest > 2*messageSize {
			t.Errorf("%d messages, the largest of %d bytes", rec.messages, rec.largest)
		}
	})
}

func TestPushAfterFailureSendsAll(t *testing.T) {
	pushing(t, Config{}, func(reg *Registry, rec *receiver) {
		reg.HTTP(web(1)).Request()
		rec.pass(2 * time.Second)
		rec.fail = errors.New("connection refused")
		reg.HTTP(web(2)).Request()
		rec.pass(5 * time.Minute)
		rec.fail = nil
		rec.pass(time.Minute)
		rec.agrees(reg)
		if rec.reports != 2 {
			t.Errorf("%d reports, want 2", rec.reports)
		}
		for part, want := range map[string]bool{"cart-1": true, "cart-2": false} {
			for _, s := range rec.find(part) {
				if s.known != want {
					t.Errorf("%s: known = %v, want %v", s.name, s.known, want)
				}
			}
		}
	})
}

func TestPushResyncs(t *testing.T) {
	pushing(t, Config{}, func(reg *Registry, rec *receiver) {
		h := reg.HTTP(web(1))
		rec.resync = true
		h.Request()
		rec.pass(10 * time.Second)
		rec.agrees(reg)
		if rec.reports != 2 {
			t.Errorf("%d reports, want 2", rec.reports)
		}
	})
}

func TestPushTellsWhatEnded(t *testing.T) {
	pushing(t, Config{MaxSeries: 30}, func(reg *Registry, rec *receiver) {
		for i := range 40 {
			h := reg.HTTP(web(i))
			h.Request()
			h.Release()
			rec.pass(2 * time.Second)
		}
		rec.agrees(reg)
		if n := len(rec.find(requestTotal + "/outbound")); n > 15 {
			t.Errorf("the receiver still has %d series that ended", n)
		}
	})
}

func TestPushOnceMoreAtTheEnd(t *testing.T) {
	var reg *Registry
	var rec *receiver
	pushing(t, Config{}, func(r *Registry, c *receiver) {
		reg, rec = r, c
		r.HTTP(web(1)).Request()
	})
	rec.agrees(reg)
}

func TestPushHeedsTheServersInterval(t *testing.T) {
	pushing(t, Config{}, func(reg *Registry, rec *receiver) {
		rec.interval = 5000
		h := reg.HTTP(web(1))
		busy := func(seconds int) int {
			before := rec.messages
			for range seconds {
				h.Request()
				rec.pass(time.Second)
			}
			return rec.messages - before
		}
		busy(10)
		if n := busy(60); n < 10 || n > 14 {
			t.Errorf("%d messages in a minute at an interval of 5 s", n)
		}
	})
}
