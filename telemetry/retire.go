package telemetry

import "slices"

// retirable is an edge's counters that may end when nobody uses them.
type retirable interface {
	retire(r *Registry)
}

// members is the part that HTTP, TCP and Authz share: the series of one edge
// and the number of its users. The registry's lock guards it.
type members struct {
	reg    *Registry
	set    *labelSet
	series []*series
	users  int
	pinned bool // the edge "other": never released
}

// member registers one more series of an edge; the lock must be held.
func (m *members) member(family string, s series) {
	s.set = m.set
	m.series = append(m.series, m.reg.register(m.reg.byName[family], s))
	m.reg.live++
}

// take adds a user; the lock must be held.
func (m *members) take(self retirable) {
	m.users++
	if m.users == 1 {
		m.reg.released = slices.DeleteFunc(m.reg.released, func(o retirable) bool { return o == self })
	}
}

// release removes a user. Nothing may be counted by it any more.
func (m *members) release(self retirable) {
	m.reg.mu.Lock()
	defer m.reg.mu.Unlock()
	m.users--
	if m.users == 0 && !m.pinned {
		m.reg.released = append(m.reg.released, self)
	}
}

// end takes the series out of the output and keeps their totals; the lock
// must be held.
func (m *members) end() {
	r := m.reg
	for _, s := range m.series {
		f := s.family
		// A copy: a reader may hold the old slice.
		f.series = slices.DeleteFunc(slices.Clone(f.series), func(o *series) bool { return o == s })
		switch {
		case s.count != nil:
			r.keep(f.name, s.count.Load())
		case s.hist != nil:
			r.keep(f.name+"_count", s.hist.count())
		}
	}
	r.live -= len(m.series)
	m.series = nil
}

// keep adds to the total of what retired; the lock must be held.
func (r *Registry) keep(metric string, n uint64) {
	c := r.retired[metric]
	if c == nil {
		c = &Counter{}
		r.retired[metric] = c
		r.register(r.family("leno_retired_total", "Totals of series that ended, by the metric they had.", counterKind),
			series{extra: []Label{{"metric", metric}}, count: &c.n})
	}
	c.Add(n)
}
