package store

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/util/compression"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire/gen"
)

// Store keeps and queries series. Its methods are safe for concurrent use.
type Store struct {
	cfg    Config
	db     *tsdb.DB
	engine *promql.Engine
	slots  chan struct{} // one for each query that may run

	mu         sync.Mutex // guards all below
	proxies    map[mesh.WorkloadID]*proxy
	ending     []*proxy // get their stale markers at the next tick
	overflow   *proxy   // the series "other" of the store
	self       *proxy   // the store's own series
	folded     *live
	dropped    *live
	failed     *live
	series     int             // live ones, without the folded
	bounds     [][]float64     // interned
	histograms map[string]bool // names of metrics
	lastTick   int64           // ms
}

// Open opens the data in cfg.Dir. Close must follow.
func Open(cfg Config) (*Store, error) {
	cfg = cfg.withDefaults()
	db, err := tsdb.Open(cfg.Dir, slog.New(troubleOnly{cfg.Logger.Handler()}), nil, tsdbOptions(cfg), nil)
	if err != nil {
		return nil, fmt.Errorf("metrics store in %s: %w", cfg.Dir, err)
	}
	s := &Store{
		cfg: cfg, db: db,
		engine: promql.NewEngine(promql.EngineOpts{
			MaxSamples: cfg.QuerySamples, Timeout: cfg.QueryTimeout, LookbackDelta: lookback,
			EnableAtModifier: true, EnableNegativeOffset: true,
			NoStepSubqueryIntervalFn: func(int64) int64 { return cfg.MaxTick.Milliseconds() },
			Parser:                   parser.NewParser(parser.Options{}),
		}),
		slots:      make(chan struct{}, cfg.Queries),
		proxies:    make(map[mesh.WorkloadID]*proxy),
		overflow:   newProxy(Reporter{Workload: "other"}),
		self:       newProxy(Reporter{Workload: "leno-server"}),
		histograms: make(map[string]bool),
		lastTick:   max(db.Head().MaxTime(), time.Now().Add(-cfg.Tick).UnixMilli()),
	}
	s.folded = s.own("leno_store_folded_series_total", gen.Series_KIND_COUNTER)
	s.dropped = s.own("leno_store_dropped_series_total", gen.Series_KIND_COUNTER)
	s.failed = s.own("leno_store_append_failures_total", gen.Series_KIND_COUNTER)
	return s, nil
}

func tsdbOptions(cfg Config) *tsdb.Options {
	o := tsdb.DefaultOptions()
	o.RetentionDuration = cfg.Retention.Milliseconds()
	o.MaxBytes = cfg.MaxBytes
	// Short blocks keep little in memory: at a sample per second the default
	// of two hours would be 7,000 samples of each series.
	o.MinBlockDuration = (30 * time.Minute).Milliseconds()
	o.MaxBlockDuration = (90 * time.Minute).Milliseconds()
	o.WALSegmentSize = 16 << 20
	o.WALCompression = compression.Snappy
	o.StripeSize = 1 << 10
	o.HeadChunksWriteBufferSize = 256 << 10
	// A query may see half a tick; the memory for isolation is not worth it.
	o.IsolationDisabled = true
	return o
}

// own makes one of the store's own series.
func (s *Store) own(metric string, kind gen.Series_Kind) *live {
	l := &live{labels: labels.FromStrings(labels.MetricName, metric, "job", "leno-server"), kind: kind, valued: true}
	s.self.all[l.labels.Hash()] = l
	return l
}

// Run writes samples until the context ends, and returns the context's error.
func (s *Store) Run(ctx context.Context) error {
	said := ""
	for {
		s.mu.Lock()
		wait := s.interval()
		s.mu.Unlock()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
		err := s.tick(ctx, time.Now())
		switch {
		case err == nil:
			said = ""
		case ctx.Err() == nil && err.Error() != said: // once, not each second
			said = err.Error()
			s.cfg.Logger.WarnContext(ctx, "metrics could not be stored", "error", err)
		}
	}
}

// Close closes the data. Run must have returned.
func (s *Store) Close() error { return s.db.Close() }

// Forget ends the series of a workload that is known to be gone, so that they
// need not wait to expire.
func (s *Store) Forget(w mesh.WorkloadID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.proxies[w]; p != nil {
		s.ending = append(s.ending, p)
		delete(s.proxies, w)
	}
}

// interval is the time between ticks: longer with more series. The lock must
// be held.
func (s *Store) interval() time.Duration {
	needed := time.Duration(s.series) * time.Second / samplesPerSecond
	return min(max(needed, s.cfg.Tick), s.cfg.MaxTick)
}

// troubleOnly lets warnings and errors through: the library tells the life of
// every block.
type troubleOnly struct{ slog.Handler }

// Enabled is part of slog.Handler.
func (h troubleOnly) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

// WithAttrs is part of slog.Handler.
func (h troubleOnly) WithAttrs(a []slog.Attr) slog.Handler {
	return troubleOnly{h.Handler.WithAttrs(a)}
}

// WithGroup is part of slog.Handler.
func (h troubleOnly) WithGroup(g string) slog.Handler { return troubleOnly{h.Handler.WithGroup(g)} }
