package telemetry

import (
	"sync/atomic"
	"time"
)

// latencyBounds are the upper bounds of the latency buckets in milliseconds.
// The bucket past the last one is the 26th.
var latencyBounds = [...]float64{ //nolint:gochecknoglobals // never written
	1, 2, 3, 4, 5, 10, 20, 30, 40, 50, 100, 200, 300, 400, 500,
	1000, 2000, 3000, 4000, 5000, 10000, 20000, 30000, 40000, 50000,
}

const buckets = len(latencyBounds) + 1

// latencySteps are the same bounds as durations.
var latencySteps = [buckets - 1]time.Duration{ //nolint:gochecknoglobals // never written
	1e6, 2e6, 3e6, 4e6, 5e6, 10e6, 20e6, 30e6, 40e6, 50e6, 100e6, 200e6, 300e6, 400e6, 500e6,
	1e9, 2e9, 3e9, 4e9, 5e9, 10e9, 20e9, 30e9, 40e9, 50e9,
}

// histogram counts durations. Its count is the sum of its buckets, so that
// an observation is two additions and a reader never sees them disagree.
type histogram struct {
	counts [buckets]atomic.Uint64
	micros atomic.Uint64
}

func (h *histogram) observe(d time.Duration) {
	d = max(d, 0)
	i := 0
	for i < len(latencySteps) && d > latencySteps[i] {
		i++
	}
	h.counts[i].Add(1)
	h.micros.Add(uint64(d / time.Microsecond))
}

// read gives the count of each bucket alone, their total, and the sum in
// milliseconds.
func (h *histogram) read(into *[buckets]uint64) (count uint64, sum float64) {
	sum = float64(h.micros.Load()) / 1000
	for i := range h.counts {
		into[i] = h.counts[i].Load()
		count += into[i]
	}
	return count, sum
}

func (h *histogram) count() (n uint64) {
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}
