package store

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/storage"

	"github.com/leno-mesh/leno/wire/gen"
)

var errClock = errors.New("the clock went back; nothing is stored until it has caught up")

// batchSize is how many samples are committed at once.
const batchSize = 5_000

// tick writes a sample of every live series. The lock is given up between
// proxies, so that a push waits for one of them at most.
func (s *Store) tick(ctx context.Context, now time.Time) error {
	t := now.UnixMilli()
	w := &writer{ctx: ctx, store: s, now: t}
	due, err := s.due(now)
	if err != nil {
		return err
	}
	for _, p := range due {
		s.mu.Lock()
		w.proxy(p)
		s.mu.Unlock()
		if w.pending >= batchSize {
			w.commit()
		}
	}
	w.commit()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.failed.value += float64(w.failures)
	s.lastTick = max(s.lastTick, t)
	return w.err
}

// due lists the proxies to write, and expires those not heard of.
func (s *Store) due(now time.Time) ([]*proxy, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.UnixMilli() <= s.lastTick {
		return nil, errClock
	}
	all := []*proxy{s.self, s.overflow}
	for id, p := range s.proxies {
		if now.Sub(p.pushed) > s.cfg.Expire {
			s.ending = append(s.ending, p)
			delete(s.proxies, id)
			continue
		}
		all = append(all, p)
	}
	for _, p := range s.ending {
		for _, l := range p.all {
			l.gone = true
		}
	}
	// Ends come first: a reporter may be there again under another name.
	all = append(s.ending, all...)
	s.ending = nil
	return all, nil
}

// writer appends the samples of one tick.
type writer struct {
	ctx      context.Context //nolint:containedctx // lives as long as the tick
	store    *Store
	now      int64
	app      storage.AppenderV2
	pending  int
	failures int
	err      error
}

// proxy writes the series of one proxy; the lock must be held.
func (w *writer) proxy(p *proxy) {
	for hash, l := range p.all {
		if l.gone {
			w.end(l)
			delete(p.all, hash)
			if l.fold == nil {
				p.own--
				w.store.series--
			}
			continue
		}
		if l.fold != nil {
			l.birth = false
			continue
		}
		if l.valued {
			w.series(l)
		}
	}
}

// series writes the sample of a series, and the zero before it if it was
// born.
func (w *writer) series(l *live) {
	if l.birth {
		// Right after the last tick: the growth belongs to the time since.
		if at := max(w.store.lastTick+2, l.last+1); at < w.now {
			w.append(l, at, 0, true)
		}
		l.birth = false
	}
	w.append(l, w.now, l.value, false)
}

// end writes the stale marker, before the zero of a successor with the same
// labels.
func (w *writer) end(l *live) {
	l.leave()
	at := max(w.store.lastTick, l.last) + 1
	if l.fold != nil || l.last == 0 || at >= w.now {
		return
	}
	stale := math.Float64frombits(value.StaleNaN)
	if l.hist != nil {
		w.write(l, at, 0, &histogram.Histogram{Sum: stale})
		return
	}
	w.write(l, at, stale, nil)
}

func (w *writer) append(l *live, t int64, v float64, zero bool) {
	switch {
	case l.kind != gen.Series_KIND_HISTOGRAM:
		w.write(l, t, v, nil)
	case zero:
		w.write(l, t, 0, newBuckets(l.hist.bounds).native())
	default:
		w.write(l, t, 0, l.hist.native())
	}
}

func (w *writer) write(l *live, t int64, v float64, h *histogram.Histogram) {
	if w.app == nil {
		w.app = w.store.db.AppenderV2(w.ctx)
	}
	ref, err := w.app.Append(l.ref, l.labels, 0, t, v, h, nil, storage.AOptions{})
	w.pending++
	if err != nil {
		w.fail(err)
		return
	}
	l.ref, l.last = ref, t
}

func (w *writer) commit() {
	if w.app == nil {
		return
	}
	if err := w.app.Commit(); err != nil {
		w.fail(err)
	}
	w.app, w.pending = nil, 0
}

// fail keeps the first error. A sample that comes too late is only counted:
// it is what a clock that went back leaves behind.
func (w *writer) fail(err error) {
	w.failures++
	late := errors.Is(err, storage.ErrOutOfOrderSample) || errors.Is(err, storage.ErrOutOfBounds) ||
		errors.Is(err, storage.ErrDuplicateSampleForTimestamp) || errors.Is(err, storage.ErrTooOldSample)
	if w.err == nil && !late {
		w.err = err
	}
}
