package store

import (
	"context"
	"fmt"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/storage"
)

// params reads the parameters of a call. The first mistake stays in err.
type params struct {
	r   *http.Request
	now time.Time
	err error
}

func (p *params) bad(name, value, want string) {
	if p.err == nil {
		p.err = badQuery{fmt.Errorf("parameter %s: %q is not %s", name, clip(value), want)}
	}
}

// time reads seconds since 1970 or RFC 3339.
func (p *params) time(name string, otherwise time.Time) time.Time {
	v := p.r.Form.Get(name)
	if v == "" {
		return otherwise
	}
	if f, err := strconv.ParseFloat(v, 64); err == nil && math.Abs(f) < 1e12 {
		return time.UnixMilli(int64(math.Round(f * 1000)))
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		p.bad(name, v, "a time: want seconds since 1970, or RFC 3339")
	}
	return t
}

// duration reads seconds or a form such as 5m.
func (p *params) duration(name string, otherwise time.Duration) time.Duration {
	v := p.r.Form.Get(name)
	if v == "" {
		return otherwise
	}
	if f, err := strconv.ParseFloat(v, 64); err == nil && f >= 0 && f < 1e9 {
		return time.Duration(f * float64(time.Second))
	}
	d, err := model.ParseDuration(v)
	if err != nil {
		p.bad(name, v, "a duration: want seconds, or a form such as 30s")
	}
	return time.Duration(d)
}

// matchers reads the series selectors in match[].
func (p *params) matchers() [][]*labels.Matcher {
	sets, err := parser.NewParser(parser.Options{}).ParseMetricSelectors(p.r.Form["match[]"])
	if err != nil {
		p.bad("match[]", strings.Join(p.r.Form["match[]"], ", "), "a series selector: "+err.Error())
	}
	return sets
}

// withQuerier calls do with a querier of the time range that the call names.
func withQuerier(s *Store, p params, do func(context.Context, storage.Querier) (any, error)) (any, error) {
	start, end := p.time("start", p.now.Add(-s.cfg.Retention)), p.time("end", p.now)
	if p.err != nil {
		return nil, p.err
	}
	ctx, cancel := context.WithTimeout(p.r.Context(), s.cfg.QueryTimeout)
	defer cancel()
	free, err := s.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer free()
	q, err := s.queryable().Querier(start.UnixMilli(), end.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("open the store: %w", err)
	}
	defer func() { _ = q.Close() }() // only read from
	return do(ctx, q)
}

// strings answers with a sorted list: the union over the selectors.
func (s *Store) strings(p params, list func(context.Context, storage.Querier, []*labels.Matcher) ([]string, error)) (any, error) {
	sets := p.matchers()
	if len(sets) == 0 {
		sets = [][]*labels.Matcher{nil}
	}
	return withQuerier(s, p, func(ctx context.Context, q storage.Querier) (any, error) {
		found := map[string]bool{}
		for _, m := range sets {
			some, err := list(ctx, q, m)
			if err != nil {
				return nil, err
			}
			for _, v := range some {
				found[strings.Clone(v)] = true
			}
		}
		return append([]string{}, slices.Sorted(maps.Keys(found))...), nil
	})
}

func sortedLabels(found map[uint64]labels.Labels) []labels.Labels {
	all := append([]labels.Labels{}, slices.Collect(maps.Values(found))...)
	slices.SortFunc(all, labels.Compare)
	for i, l := range all {
		all[i] = l.Copy()
	}
	return all
}
