package store

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/util/annotations"
)

// view shows the stored histograms in their classic form too, as the series
// NAME_bucket, NAME_sum and NAME_count. A selector must name them literally;
// a pattern of names sees what is stored.
type view struct {
	storage.Queryable
	// histograms names the metrics that have the classic form.
	histograms func() []string
}

// Querier is part of storage.Queryable.
func (v view) Querier(mint, maxt int64) (storage.Querier, error) {
	q, err := v.Queryable.Querier(mint, maxt)
	if err != nil {
		return nil, err
	}
	return viewQuerier{q, v.histograms}, nil
}

type viewQuerier struct {
	storage.Querier
	histograms func() []string
}

// part is one of the suffixes of the classic form.
type part string

const (
	partBucket part = "_bucket"
	partSum    part = "_sum"
	partCount  part = "_count"
)

// classic finds a part in the matchers, and gives those that select the
// histograms, and those of the label le.
func classic(matchers []*labels.Matcher) (p part, base, le []*labels.Matcher) {
	for _, m := range matchers {
		switch {
		case m.Name == labels.MetricName && m.Type == labels.MatchEqual:
			for _, suffix := range []part{partBucket, partSum, partCount} {
				if name, ok := strings.CutSuffix(m.Value, string(suffix)); ok && name != "" {
					p = suffix
					m = labels.MustNewMatcher(labels.MatchEqual, labels.MetricName, name)
				}
			}
			base = append(base, m)
		case m.Name == labels.BucketLabel:
			le = append(le, m)
		default:
			base = append(base, m)
		}
	}
	return p, base, le
}

// Select is part of storage.Querier.
func (q viewQuerier) Select(ctx context.Context, sorted bool, hints *storage.SelectHints, matchers ...*labels.Matcher) storage.SeriesSet {
	p, base, le := classic(matchers)
	if p == "" {
		return q.Querier.Select(ctx, sorted, hints, matchers...)
	}
	var all []storage.Series
	set := q.Querier.Select(ctx, false, nil, base...)
	for set.Next() {
		all = append(all, expand(set.At(), p, le)...)
	}
	if err := set.Err(); err != nil {
		return storage.ErrSeriesSet(err)
	}
	if len(all) == 0 {
		return q.Querier.Select(ctx, sorted, hints, matchers...)
	}
	slices.SortFunc(all, func(a, b storage.Series) int { return labels.Compare(a.Labels(), b.Labels()) })
	return &seriesList{all: all, warnings: set.Warnings()}
}

// LabelNames is part of storage.LabelQuerier.
func (q viewQuerier) LabelNames(ctx context.Context, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	p, base, _ := classic(matchers)
	if p == "" {
		base = matchers
	}
	names, warnings, err := q.Querier.LabelNames(ctx, hints, base...)
	if p == partBucket && len(names) > 0 {
		names = append(names, labels.BucketLabel)
		slices.Sort(names)
	}
	return names, warnings, err
}

// LabelValues is part of storage.LabelQuerier.
func (q viewQuerier) LabelValues(ctx context.Context, name string, hints *storage.LabelHints, matchers ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	p, base, _ := classic(matchers)
	if p == "" || name == labels.MetricName {
		base = matchers
	}
	values, warnings, err := q.Querier.LabelValues(ctx, name, hints, base...)
	if name != labels.MetricName || err != nil {
		return values, warnings, err
	}
	for _, h := range q.histograms() {
		if slices.Contains(values, h) {
			values = append(values, h+string(partBucket), h+string(partCount), h+string(partSum))
		}
	}
	slices.Sort(values)
	return slices.Compact(values), warnings, nil
}

// expand gives the classic series of a stored one, none if it is not a
// histogram. The bounds are those of its first sample.
func expand(s storage.Series, p part, le []*labels.Matcher) []storage.Series {
	it := s.Iterator(nil)
	if it.Next() != chunkenc.ValHistogram {
		return nil
	}
	b := labels.NewBuilder(s.Labels())
	b.Set(labels.MetricName, s.Labels().Get(labels.MetricName)+string(p))
	if p != partBucket {
		return []storage.Series{&classicSeries{Series: s, labels: b.Labels(), part: p}}
	}
	_, h := it.AtHistogram(nil)
	for value.IsStaleNaN(h.Sum) && it.Next() == chunkenc.ValHistogram {
		_, h = it.AtHistogram(nil)
	}
	var out []storage.Series
	for i := range len(h.CustomValues) + 1 {
		bound := "+Inf"
		if i < len(h.CustomValues) {
			bound = strconv.FormatFloat(h.CustomValues[i], 'g', -1, 64)
		}
		if slices.ContainsFunc(le, func(m *labels.Matcher) bool { return !m.Matches(bound) }) {
			continue
		}
		out = append(out, &classicSeries{Series: s, labels: b.Set(labels.BucketLabel, bound).Labels(), part: p, bucket: i})
	}
	return out
}

// classicSeries is one number of a stored histogram.
type classicSeries struct {
	storage.Series
	labels labels.Labels
	part   part
	bucket int
}

// Labels is part of storage.Series.
func (s *classicSeries) Labels() labels.Labels { return s.labels }

// Iterator is part of storage.Series. It reads the whole series of the time
// range at once: the numbers take less room than the histograms.
func (s *classicSeries) Iterator(chunkenc.Iterator) chunkenc.Iterator {
	var (
		all   points
		reuse *histogram.Histogram
		t     int64
	)
	it := s.Series.Iterator(nil)
	for it.Next() == chunkenc.ValHistogram {
		t, reuse = it.AtHistogram(reuse)
		all = append(all, point{t, s.number(reuse)})
	}
	if it.Err() != nil {
		return it // at its end, with the error
	}
	return storage.NewListSeriesIterator(all)
}

// number gives the series' own number out of the histogram.
func (s *classicSeries) number(h *histogram.Histogram) float64 {
	switch {
	case value.IsStaleNaN(h.Sum), s.part == partSum:
		return h.Sum
	case s.part == partCount:
		return float64(h.Count)
	}
	return float64(countTo(h, s.bucket))
}

// points is storage.Samples.
type points []point

// Get is part of storage.Samples.
func (p points) Get(i int) chunks.Sample { return p[i] }

// Len is part of storage.Samples.
func (p points) Len() int { return len(p) }

// point is a float as a chunks.Sample.
type point struct {
	t int64
	v float64
}

// T is part of chunks.Sample, as is all that follows.
func (p point) T() int64                      { return p.t }
func (p point) ST() int64                     { return 0 }
func (p point) F() float64                    { return p.v }
func (p point) H() *histogram.Histogram       { return nil }
func (p point) FH() *histogram.FloatHistogram { return nil }
func (p point) Type() chunkenc.ValueType      { return chunkenc.ValFloat }
func (p point) Copy() chunks.Sample           { return p }

// countTo counts the observations up to and with one bucket.
func countTo(h *histogram.Histogram, bucket int) (total uint64) {
	index, at, n := 0, 0, int64(0)
	for _, span := range h.PositiveSpans {
		index += int(span.Offset)
		for range span.Length {
			if index > bucket {
				return total
			}
			n += h.PositiveBuckets[at]
			total += uint64(n)
			at++
			index++
		}
	}
	return total
}

// seriesList is a set of series in memory.
type seriesList struct {
	all      []storage.Series
	next     int
	warnings annotations.Annotations
}

// Next is part of storage.SeriesSet.
func (l *seriesList) Next() bool { l.next++; return l.next <= len(l.all) }

// At is part of storage.SeriesSet.
func (l *seriesList) At() storage.Series { return l.all[l.next-1] }

// Err is part of storage.SeriesSet.
func (l *seriesList) Err() error { return nil }

// Warnings is part of storage.SeriesSet.
func (l *seriesList) Warnings() annotations.Annotations { return l.warnings }
