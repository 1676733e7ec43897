package telemetry

import (
	"time"

	"github.com/leno-mesh/leno/wire/gen"
)

// messageSize is about how many bytes one push carries at most.
const messageSize = 256 << 10

// Cursor is what one receiver of pushes has been sent. The zero value has
// been sent nothing. It belongs to one goroutine.
type Cursor struct {
	sequence uint64
	sent     map[uint32]*sent
	sets     map[uint32]bool // label sets defined in this report
	round    uint64
}

// sent is what the receiver knows about one series.
type sent struct {
	defined bool
	known   bool // a value was acknowledged in this run of the process
	last    float64
	round   uint64 // of the last Collect that saw it
}

// restart makes the next Collect begin a new report.
func (c *Cursor) restart() {
	c.sequence = 0
	c.sets = nil
	for _, s := range c.sent {
		s.defined = false
	}
}

// acknowledged says that all that was collected has arrived.
func (c *Cursor) acknowledged() {
	for _, s := range c.sent {
		s.known = true
	}
}

// Collect gives the pushes that bring the receiver up to date: cumulative
// values of the series that changed, and everything when a report begins.
// With force set there is at least one push. A change in what always changes,
// such as CPU time, is no reason for one.
func (r *Registry) Collect(c *Cursor, force bool) []*gen.PushRequest {
	if c.sent == nil {
		c.sent = make(map[uint32]*sent)
	}
	if c.sequence > 0 && !force && !r.news(c) {
		return nil
	}
	b := batch{cursor: c, begin: c.sequence == 0, now: time.Now()}
	b.next()
	c.round++
	r.each(func(_ *family, all []*series) {
		for _, s := range all {
			b.add(s)
		}
	})
	for id, s := range c.sent {
		if s.round != c.round {
			if s.defined {
				b.message.Ended = append(b.message.Ended, id)
			}
			delete(c.sent, id)
		}
	}
	b.message.Whole = b.begin
	return b.messages
}

// news says whether there is a reason for a push.
func (r *Registry) news(c *Cursor) (found bool) {
	seen := 0
	r.each(func(f *family, all []*series) {
		seen += len(all)
		if f.quiet || found {
			return
		}
		for _, s := range all {
			if was := c.sent[s.id]; was == nil || s.mark() != was.last {
				found = true
				return
			}
		}
	})
	return found || seen != len(c.sent)
}

// mark is a number that is another one when the series changed.
func (s *series) mark() float64 {
	if s.hist != nil {
		return float64(s.hist.count())
	}
	return s.value()
}

// batch builds messages of bounded size.
type batch struct {
	cursor   *Cursor
	begin    bool
	now      time.Time
	messages []*gen.PushRequest
	message  *gen.PushRequest // the last one
	size     int
}

// next starts another message.
func (b *batch) next() {
	b.cursor.sequence++
	b.message = &gen.PushRequest{Sequence: b.cursor.sequence, Begin: b.begin && len(b.messages) == 0}
	b.messages = append(b.messages, b.message)
	b.size = 0
}

func (b *batch) add(s *series) {
	was := b.cursor.sent[s.id]
	if was == nil {
		was = &sent{}
		b.cursor.sent[s.id] = was
	}
	was.round = b.cursor.round
	mark := s.mark()
	if was.defined && mark == was.last {
		return
	}
	if b.size > messageSize {
		b.next()
	}
	if !was.defined {
		b.define(s, was.known)
		was.defined = true
	}
	was.last = mark
	b.value(s, mark)
}

func (b *batch) define(s *series, known bool) {
	d := &gen.Series{
		Id: s.id, Metric: s.family.name, Kind: gen.Series_Kind(s.family.kind + 1), Known: known,
		AgeMs: uint64(max(b.now.Sub(s.born), 0).Milliseconds()),
	}
	if s.set != nil {
		d.LabelSet = s.set.id
		if !b.cursor.sets[s.set.id] {
			b.defineSet(s.set)
		}
	}
	d.Names, d.Values = b.pairs(s.extra)
	if s.hist != nil {
		d.Bounds = latencyBounds[:]
		b.size += 8 * len(latencyBounds)
	}
	b.size += len(d.Metric) + 24
	b.message.Series = append(b.message.Series, d)
}

func (b *batch) defineSet(set *labelSet) {
	if b.cursor.sets == nil {
		b.cursor.sets = make(map[uint32]bool)
	}
	b.cursor.sets[set.id] = true
	names, values := b.pairs(set.labels)
	b.message.LabelSets = append(b.message.LabelSets, &gen.LabelSet{Id: set.id, Names: names, Values: values})
}

func (b *batch) pairs(labels []Label) (names, values []string) {
	for _, l := range labels {
		names = append(names, l.Name)
		values = append(values, l.Value)
		b.size += len(l.Name) + len(l.Value) + 4
	}
	return names, values
}

// value adds the value. A histogram is read again after its mark: what is
// newer than the mark only makes the next Collect send it once more.
func (b *batch) value(s *series, v float64) {
	if s.hist == nil {
		b.message.Ids = append(b.message.Ids, s.id)
		b.message.Values = append(b.message.Values, v)
		b.size += 13
		return
	}
	var counts [buckets]uint64
	_, sum := s.hist.read(&counts)
	last := buckets
	for last > 0 && counts[last-1] == 0 {
		last--
	}
	b.message.Histograms = append(b.message.Histograms,
		&gen.HistogramValue{Id: s.id, Counts: append([]uint64(nil), counts[:last]...), Sum: sum})
	b.size += 16 + 3*last
}
