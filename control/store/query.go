package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
)

// queryable gives the stored series with the classic form of histograms.
func (s *Store) queryable() storage.Queryable {
	return view{s.db, func() []string {
		s.mu.Lock()
		defer s.mu.Unlock()
		return slices.Collect(maps.Keys(s.histograms))
	}}
}

// result is what a query gave.
type result struct {
	value    parser.Value
	warnings annotations.Annotations
}

// Query evaluates a PromQL expression at a time and hands the value to use,
// which must not keep it.
func (s *Store) Query(ctx context.Context, expr string, at time.Time, use func(parser.Value) error) error {
	return s.run(ctx, func(ctx context.Context) (promql.Query, error) {
		return s.engine.NewInstantQuery(ctx, s.queryable(), nil, expr, at)
	}, func(r result) error { return use(r.value) })
}

// run evaluates a query when its turn has come. The value is only good until
// use returns: its memory is used again.
func (s *Store) run(ctx context.Context, prepare func(context.Context) (promql.Query, error), use func(result) error) error {
	free, err := s.slot(ctx)
	if err != nil {
		return err
	}
	defer free()
	q, err := prepare(ctx)
	if err != nil {
		return badQuery{err}
	}
	defer q.Close()
	r := q.Exec(ctx)
	if r.Err != nil {
		return r.Err
	}
	return use(result{r.Value, r.Warnings})
}

// slot waits for leave to query.
func (s *Store) slot(ctx context.Context) (free func(), err error) {
	select {
	case s.slots <- struct{}{}:
		return func() { <-s.slots }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for other queries: %w", ctx.Err())
	}
}

// badQuery is an error in the query itself.
type badQuery struct{ error }

// Unwrap gives the parser's error.
func (e badQuery) Unwrap() error { return e.error }

// now is the time of the newest complete samples: a window that ends there
// holds whole ticks.
func (s *Store) now() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.UnixMilli(s.lastTick)
}
