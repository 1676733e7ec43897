package store

import (
	"slices"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"

	"github.com/leno-mesh/leno/wire/gen"
)

// live is one series that is reported now: its last value, which each tick
// writes again. The store's lock guards it.
type live struct {
	labels labels.Labels
	kind   gen.Series_Kind
	ref    storage.SeriesRef // 0 before the first sample
	last   int64             // time of the last sample in ms, 0 before

	value  float64
	hist   *buckets // of a histogram
	valued bool     // a value was reported
	birth  bool     // a zero must come before the next sample
	gone   bool     // a stale marker must come, and nothing after it

	run   int // of the process that reports it
	round int // of the report that defined it last
	// fold is where the series counts, for want of room; nil: on itself.
	fold *live
}

// buckets is the value of a histogram.
type buckets struct {
	bounds []float64
	counts []uint64 // of each bucket alone, one more than bounds
	sum    float64
}

func newBuckets(bounds []float64) *buckets {
	return &buckets{bounds: bounds, counts: make([]uint64, len(bounds)+1)}
}

// set takes a reported value. A folded series hands on what it grew by. Its
// first value is all growth only if it was born here; a gauge always is.
func (l *live) set(v float64) {
	if l.fold != nil && (l.valued || l.birth || l.kind == gen.Series_KIND_GAUGE) {
		l.fold.value += v - l.value
	}
	l.value, l.valued = v, true
}

// setHistogram is set for a histogram. Counts past the bounds are ignored.
func (l *live) setHistogram(v *gen.HistogramValue) {
	counts := make([]uint64, len(l.hist.counts))
	copy(counts, v.GetCounts())
	if f := l.fold; f != nil && (l.valued || l.birth) && slices.Equal(f.hist.bounds, l.hist.bounds) {
		for i, n := range counts {
			f.hist.counts[i] += n - min(n, l.hist.counts[i])
		}
		f.hist.sum += max(v.GetSum()-l.hist.sum, 0)
	}
	l.hist.counts, l.hist.sum, l.valued = counts, v.GetSum(), true
}

// restart begins the series anew for another run of its process.
func (l *live) restart(run int) {
	l.run = run
	l.birth = l.kind != gen.Series_KIND_GAUGE
	l.valued = false
	l.leave()
}

// leave takes the value back: a folded gauge no longer counts.
func (l *live) leave() {
	if l.fold != nil && l.kind == gen.Series_KIND_GAUGE {
		l.fold.value -= l.value
	}
	l.value = 0
	if l.hist != nil {
		l.hist = newBuckets(l.hist.bounds)
	}
}

// native gives the histogram as the store keeps it. The store holds on to it.
func (b *buckets) native() *histogram.Histogram {
	h := &histogram.Histogram{Schema: histogram.CustomBucketsSchema, CustomValues: b.bounds, Sum: b.sum}
	var before int64
	next := 0 // the bucket that would need no new span
	for i, n := range b.counts {
		h.Count += n
		if n == 0 {
			continue
		}
		if len(h.PositiveSpans) == 0 || i > next {
			h.PositiveSpans = append(h.PositiveSpans, histogram.Span{Offset: int32(i - next)})
		}
		h.PositiveSpans[len(h.PositiveSpans)-1].Length++
		h.PositiveBuckets = append(h.PositiveBuckets, int64(n)-before)
		before, next = int64(n), i+1
	}
	return h
}
