package store

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/leno-mesh/leno/wire/gen"
)

// errResync asks the proxy for a new report.
var errResync = errors.New("report not known")

// maxFolds bounds the series "other" of one proxy.
const maxFolds = 64

// proxy is what one reporter has said. The store's lock guards it.
type proxy struct {
	reporter Reporter
	base     []labels.Label // what is known of the reporter
	pushed   time.Time      // when it was heard last

	start    string // the run of its process
	run      int    // counts the runs seen here
	round    int    // counts the reports
	sequence uint64
	sets     map[uint32]*gen.LabelSet // defined in this report
	ids      map[uint32]*live
	complete bool // the first round of the report is over
	overfull bool // some numbers of this report stand for nothing

	all   map[uint64]*live // by the hash of the labels
	own   int              // of all, those that are not folded
	folds int              // of own, those that others fold into
}

func newProxy(r Reporter) *proxy {
	return &proxy{reporter: r, base: baseLabels(r), all: make(map[uint64]*live)}
}

// baseLabels are the labels of a reporter, the same as Linkerd adds when it is
// scraped.
func baseLabels(r Reporter) []labels.Label {
	service := ""
	if len(r.Services) > 0 {
		service = r.Services[0]
	}
	all := []labels.Label{
		{Name: "deployment", Value: r.Title()},
		{Name: "instance", Value: string(r.Workload)},
		{Name: "job", Value: "leno-proxy"},
		{Name: "namespace", Value: r.Namespace},
		{Name: "pod", Value: r.Name},
		{Name: "service", Value: service},
		{Name: "serviceaccount", Value: r.ServiceAccount},
	}
	return slices.DeleteFunc(all, func(l labels.Label) bool { return l.Value == "" })
}

// begin starts a report, of the same run of the process or of another one.
func (p *proxy) begin(start string) {
	if p.start != start {
		p.start = start
		p.run++
		for _, l := range p.all {
			l.gone = !p.isFold(l)
		}
	}
	p.round++
	p.sequence = 0
	p.complete, p.overfull = false, false
	p.sets = make(map[uint32]*gen.LabelSet)
	p.ids = make(map[uint32]*live)
}

// isFold says whether others count on the series: it is the server's own and
// outlives the runs of the process.
func (p *proxy) isFold(l *live) bool { return l.run == 0 }

// next checks that a message is the one that follows.
func (p *proxy) next(m *gen.PushRequest) error {
	switch {
	case m.GetBegin():
		p.begin(string(m.GetStartId()))
	case p.start != string(m.GetStartId()) || p.ids == nil:
		return errResync
	}
	if m.GetSequence() != p.sequence+1 {
		p.ids = nil
		return errResync
	}
	p.sequence++
	return nil
}

// defineSets keeps at most limit label sets. In a long report most of them
// are of edges that ended, and a new report has fewer.
func (p *proxy) defineSets(sets []*gen.LabelSet, limit int) error {
	for _, set := range sets {
		switch {
		case len(p.sets) < limit || p.sets[set.GetId()] != nil:
			p.sets[set.GetId()] = set
		case p.complete:
			p.ids = nil
			return errResync
		default:
			p.overfull = true
		}
	}
	return nil
}

// whole ends the first round of a report: what it did not define is gone.
func (p *proxy) whole() {
	p.complete = true
	for _, l := range p.all {
		if l.round != p.round && !p.isFold(l) {
			l.gone = true
		}
	}
}

// values takes the values of a message.
func (p *proxy) values(m *gen.PushRequest) error {
	for i, id := range m.GetIds() {
		l := p.ids[id]
		if l == nil && p.overfull {
			continue
		}
		if l == nil || l.hist != nil {
			return errResync
		}
		l.set(m.GetValues()[i])
	}
	for _, h := range m.GetHistograms() {
		l := p.ids[h.GetId()]
		if l == nil && p.overfull {
			continue
		}
		if l == nil || l.hist == nil {
			return errResync
		}
		l.setHistogram(h)
	}
	for _, id := range m.GetEnded() {
		if l := p.ids[id]; l != nil {
			l.gone = true
			delete(p.ids, id)
		}
	}
	return nil
}

// labels gives all labels of a series, or an error when one is there twice.
func (p *proxy) labels(d *gen.Series) (labels.Labels, error) {
	set := p.sets[d.GetLabelSet()]
	if set == nil && d.GetLabelSet() != 0 {
		return labels.EmptyLabels(), errResync
	}
	b := labels.NewScratchBuilder(len(p.base) + len(set.GetNames()) + len(d.GetNames()) + 1)
	b.Add(labels.MetricName, d.GetMetric())
	for _, l := range p.base {
		b.Add(l.Name, l.Value)
	}
	add := func(names, values []string) {
		for i, name := range names {
			if values[i] != "" {
				b.Add(name, values[i])
			}
		}
	}
	add(set.GetNames(), set.GetValues())
	add(d.GetNames(), d.GetValues())
	b.Sort()
	all := b.Labels()
	if name, twice := all.HasDuplicateLabelNames(); twice {
		return labels.EmptyLabels(), fmt.Errorf("series %d has the label %q twice", d.GetId(), name)
	}
	return all, nil
}

// foldLabels are those of the series that a series without room counts on:
// enough of them that success and direction stay apart.
func foldLabels(base []labels.Label, from labels.Labels) labels.Labels {
	b := labels.NewScratchBuilder(len(base) + 4)
	b.Add(labels.MetricName, from.Get(labels.MetricName))
	for _, l := range base {
		b.Add(l.Name, l.Value)
	}
	for _, keep := range []string{"direction", "classification"} {
		switch v := from.Get(keep); v {
		case "inbound", "outbound", "success", "failure":
			b.Add(keep, v)
		}
	}
	b.Add("dst_service", "other")
	b.Sort()
	return b.Labels()
}
