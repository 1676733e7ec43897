package telemetry

import (
	"sync"
	"sync/atomic"
	"time"
)

// Config makes a Registry.
type Config struct {
	// MaxSeries bounds the series of this process; a histogram is one.
	// Zero means 2000.
	MaxSeries int
	// Start is when the process started. Zero means now.
	Start time.Time
	// Version is shown in proxy_build_info.
	Version string
	// Stage gives the stage of a reason code, for the label of
	// leno_failures_total. Nil means no such label.
	Stage func(reason string) string
}

// Registry owns all series of a process. Its methods are safe for concurrent
// use.
type Registry struct {
	cfg  Config
	full *Counter // edges that found no room

	mu       sync.Mutex // guards all below
	families []*family
	byName   map[string]*family
	nextID   uint32 // of series and label sets
	live     int    // series that count against MaxSeries
	http     map[Edge]*HTTP
	tcp      map[Edge]*TCP
	authz    map[authzKey]*Authz
	released []retirable // without users, the longest idle first
	retired  map[string]*Counter
	counters map[string]*Counter // by name and labels
	failures map[Direction]*failures
}

// kind is the type of a metric.
type kind uint8

const (
	counterKind kind = iota
	gaugeKind
	histogramKind
)

// family is all series of one metric.
type family struct {
	name string
	help string
	kind kind
	// quiet families change all the time; a change in one is no reason to
	// push.
	quiet  bool
	series []*series
}

// series is one line of the output, or one histogram. Exactly one of count,
// gauge and hist is set.
type series struct {
	id     uint32 // never used again in this process
	family *family
	set    *labelSet // nil when there is none
	extra  []Label   // beyond the set
	text   string    // extra, as it stands between the braces
	born   time.Time
	count  *atomic.Uint64
	gauge  func() float64
	hist   *histogram
}

// labelSet is the labels that all series of an edge share.
type labelSet struct {
	id     uint32 // never used again in this process, and never 0
	labels []Label
	text   string
}

// NewRegistry makes a registry with the series of the process itself.
func NewRegistry(cfg Config) *Registry {
	if cfg.MaxSeries <= 0 {
		cfg.MaxSeries = 2000
	}
	if cfg.Start.IsZero() {
		cfg.Start = time.Now()
	}
	if cfg.Stage == nil {
		cfg.Stage = func(string) string { return "" }
	}
	r := &Registry{
		cfg:      cfg,
		byName:   make(map[string]*family),
		http:     make(map[Edge]*HTTP),
		tcp:      make(map[Edge]*TCP),
		authz:    make(map[authzKey]*Authz),
		retired:  make(map[string]*Counter),
		counters: make(map[string]*Counter),
		failures: make(map[Direction]*failures),
	}
	for _, f := range edgeFamilies() {
		r.families = append(r.families, f)
		r.byName[f.name] = f
	}
	r.full = r.Counter("leno_folded_edges_total", "Edges that counted on the edge \"other\", because there were too many series.")
	r.registerProcess()
	return r
}

// Counter is a number that only grows.
type Counter struct{ n atomic.Uint64 }

// Add adds n.
func (c *Counter) Add(n uint64) { c.n.Add(n) }

// Value gives the count so far.
func (c *Counter) Value() uint64 { return c.n.Load() }

// Counter gives the counter of this name and these labels, which is registered
// the first time. The name should end in _total. How many there are is not
// bounded here: labels are for what the program itself names.
func (r *Registry) Counter(name, help string, labels ...Label) *Counter {
	key := name + renderLabels(labels)
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.counters[key]; c != nil {
		return c
	}
	c := &Counter{}
	r.counters[key] = c
	r.register(r.family(name, help, counterKind), series{extra: labels, count: &c.n})
	return c
}

// Gauge is a whole number that goes up and down.
type Gauge struct{ n atomic.Int64 }

// Set replaces the number.
func (g *Gauge) Set(n int64) { g.n.Store(n) }

// Add adds n, which may be negative.
func (g *Gauge) Add(n int64) { g.n.Add(n) }

// Gauge registers a gauge.
func (r *Registry) Gauge(name, help string, labels ...Label) *Gauge {
	g := &Gauge{}
	r.GaugeFunc(name, help, func() float64 { return float64(g.n.Load()) }, labels...)
	return g
}

// GaugeFunc registers a gauge that is read when somebody looks. The function
// must be quick and safe for concurrent use.
func (r *Registry) GaugeFunc(name, help string, read func() float64, labels ...Label) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.register(r.family(name, help, gaugeKind), series{extra: labels, gauge: read})
}

// family finds or makes the family; the lock must be held.
func (r *Registry) family(name, help string, k kind) *family {
	f := r.byName[name]
	if f == nil {
		f = &family{name: name, help: help, kind: k}
		r.families = append(r.families, f)
		r.byName[name] = f
	}
	return f
}

// register puts a series into its family; the lock must be held.
func (r *Registry) register(f *family, s series) *series {
	r.nextID++
	s.id, s.family, s.text, s.born = r.nextID, f, renderLabels(s.extra), time.Now()
	f.series = append(f.series, &s)
	return &s
}

// labelSet makes a set; the lock must be held.
func (r *Registry) labelSet(labels []Label) *labelSet {
	r.nextID++
	return &labelSet{id: r.nextID, labels: labels, text: renderLabels(labels)}
}

// room makes place for n series, at the expense of edges without users; the
// lock must be held.
func (r *Registry) room(n int) bool {
	for r.live+n > r.cfg.MaxSeries {
		if len(r.released) == 0 {
			return false
		}
		oldest := r.released[0]
		r.released = r.released[1:]
		oldest.retire(r)
	}
	return true
}

// each calls do for every series, family by family, without holding the lock
// meanwhile: a slow reader must not stop a request that meets a new edge.
func (r *Registry) each(do func(f *family, all []*series)) {
	r.mu.Lock()
	families := make([]family, len(r.families))
	for i, f := range r.families {
		families[i] = *f
		families[i].series = f.series[:len(f.series):len(f.series)]
	}
	r.mu.Unlock()
	for i := range families {
		do(&families[i], families[i].series)
	}
}
