package store

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"connectrpc.com/connect"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/leno-mesh/leno/wire/gen"
)

// Push is the handler of leno.v1.Telemetry/Push.
func (s *Store) Push(ctx context.Context, req *connect.Request[gen.PushRequest]) (*connect.Response[gen.PushResponse], error) {
	reporter, ok := s.cfg.Reporter(ctx)
	if !ok {
		return nil, connect.NewError(connect.CodeUnauthenticated, errors.New("the certificate of a registered workload is needed to push metrics"))
	}
	resp, err := s.Apply(reporter, req.Msg)
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	return connect.NewResponse(resp), nil
}

// Apply takes one message of a reporter. An error says that the message is
// not one that a proxy sends; a report that is not known is no error, but is
// asked for again.
func (s *Store) Apply(from Reporter, m *gen.PushRequest) (*gen.PushResponse, error) {
	if err := check(m); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	resp := &gen.PushResponse{IntervalMs: uint32(s.interval().Milliseconds())}
	p, err := s.reporting(from)
	if err == nil {
		err = s.take(p, m)
	}
	if errors.Is(err, errResync) {
		resp.Resync = true
		return resp, nil
	}
	return resp, err
}

// reporting finds or makes the state of a reporter. One whose labels changed
// is as good as another; the lock must be held.
func (s *Store) reporting(from Reporter) (*proxy, error) {
	p := s.proxies[from.Workload]
	if p != nil && !slices.Equal(p.base, baseLabels(from)) {
		s.ending = append(s.ending, p)
		delete(s.proxies, from.Workload)
		p = nil
	}
	if p == nil {
		if len(s.proxies) >= s.cfg.MaxProxies {
			return nil, fmt.Errorf("the store keeps the metrics of %d proxies at most", s.cfg.MaxProxies)
		}
		p = newProxy(from)
		s.proxies[from.Workload] = p
	}
	p.pushed = time.Now()
	return p, nil
}

// take applies a message; the lock must be held. Half a message does no harm:
// values are cumulative, and after an error everything comes again.
func (s *Store) take(p *proxy, m *gen.PushRequest) error {
	if err := p.next(m); err != nil {
		return err
	}
	if err := p.defineSets(m.GetLabelSets(), 4*s.cfg.MaxSeriesPerProxy); err != nil {
		return err
	}
	for _, d := range m.GetSeries() {
		if err := s.define(p, d); err != nil {
			return err
		}
	}
	if err := p.values(m); err != nil {
		return err
	}
	if m.GetWhole() {
		p.whole()
	}
	return nil
}

// define makes a number stand for a series. Even what folds takes some room:
// far past the limit a series is left out, and counted.
func (s *Store) define(p *proxy, d *gen.Series) error {
	noSet := d.GetLabelSet() != 0 && p.sets[d.GetLabelSet()] == nil
	if len(p.ids) >= 4*s.cfg.MaxSeriesPerProxy || len(p.all) >= 8*s.cfg.MaxSeriesPerProxy || noSet && p.overfull {
		p.overfull = true
		s.dropped.value++
		return nil
	}
	all, err := p.labels(d)
	if err != nil {
		return err
	}
	hash := all.Hash()
	l := p.all[hash]
	switch {
	case l == nil:
		l = s.newLive(p, d, all)
		p.all[hash] = l
	case l.kind != d.GetKind() || p.isFold(l) || !labels.Equal(l.labels, all):
		return fmt.Errorf("series %d is another one than before", d.GetId())
	case l.run != p.run:
		l.restart(p.run)
	}
	l.gone, l.round = false, p.round
	p.ids[d.GetId()] = l
	return nil
}

// newLive makes a series, which counts on itself if there is room.
func (s *Store) newLive(p *proxy, d *gen.Series, all labels.Labels) *live {
	age := time.Duration(min(d.GetAgeMs(), uint64(time.Hour.Milliseconds()))) * time.Millisecond
	l := &live{labels: all, kind: d.GetKind(), run: p.run}
	l.birth = l.kind != gen.Series_KIND_GAUGE && !d.GetKnown() && age <= birthAge
	if l.kind == gen.Series_KIND_HISTOGRAM {
		l.hist = newBuckets(s.intern(d.GetBounds()))
		s.noteHistogram(d.GetMetric())
	}
	switch {
	case p.own >= s.cfg.MaxSeriesPerProxy:
		l.fold = s.foldInto(p, l)
	case s.series >= s.cfg.MaxSeries:
		l.fold = s.foldInto(s.overflow, l)
	}
	if l.fold == nil {
		p.own++
		s.series++
	}
	return l
}

// foldInto finds or makes the series "other" of p that l counts on.
func (s *Store) foldInto(p *proxy, l *live) *live {
	s.folded.value++
	all := foldLabels(p.base, l.labels)
	hash := all.Hash()
	f := p.all[hash]
	if f != nil && f.kind == l.kind && p.isFold(f) {
		return f
	}
	if f != nil || p.folds >= maxFolds {
		s.dropped.value++
		return sink(l)
	}
	f = &live{labels: all, kind: l.kind, valued: true, birth: l.kind != gen.Series_KIND_GAUGE}
	if l.hist != nil {
		f.hist = newBuckets(l.hist.bounds)
	}
	p.all[hash] = f
	p.own++
	p.folds++
	s.series++
	return f
}

// sink is a series that nobody sees, to count l on.
func sink(l *live) *live {
	s := &live{kind: l.kind}
	if l.hist != nil {
		s.hist = newBuckets(l.hist.bounds)
	}
	return s
}

// maxInterned bounds the distinct bounds and names that are remembered.
const maxInterned = 64

// intern gives the one copy of a histogram's bounds: all proxies have the
// same.
func (s *Store) intern(bounds []float64) []float64 {
	for _, b := range s.bounds {
		if slices.Equal(b, bounds) {
			return b
		}
	}
	if len(s.bounds) < maxInterned {
		s.bounds = append(s.bounds, bounds)
	}
	return bounds
}

func (s *Store) noteHistogram(metric string) {
	if len(s.histograms) < maxInterned {
		s.histograms[metric] = true
	}
}
