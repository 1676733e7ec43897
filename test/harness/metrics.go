package harness

import (
	"context"
	"maps"
	"strconv"
	"strings"
	"time"
)

// Metrics are what one page of /metrics said.
type Metrics []sample

type sample struct {
	series string // name and labels as they stand there
	name   string
	labels map[string]string
	value  float64
}

// Metrics reads the proxy's metrics.
func (p *Proxy) Metrics() Metrics {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	page, err := p.Page(ctx, "/metrics")
	if err != nil {
		p.t.Fatal(err)
	}
	m := ParseMetrics(page)
	seen := make(map[string]bool, len(m))
	for _, s := range m {
		if seen[s.series] {
			p.t.Errorf("%s has the series %s twice", p.Name, s.series)
		}
		seen[s.series] = true
	}
	return m
}

// ParseMetrics reads a page in Prometheus' text form.
func ParseMetrics(page string) Metrics {
	var all Metrics
	for line := range strings.Lines(page) {
		if s, ok := parseSample(strings.TrimSpace(line)); ok {
			all = append(all, s)
		}
	}
	return all
}

// parseSample reads a line of the text form. Values with quotes inside do not
// occur in the labels that the tests look at.
func parseSample(line string) (s sample, ok bool) {
	if line == "" || line[0] == '#' {
		return s, false
	}
	at := strings.LastIndexByte(line, ' ')
	if at < 0 {
		return s, false
	}
	var err error
	if s.value, err = strconv.ParseFloat(line[at+1:], 64); err != nil {
		return s, false
	}
	s.series = line[:at]
	name, rest, _ := strings.Cut(s.series, "{")
	s.name, s.labels = name, make(map[string]string)
	for pair := range strings.SplitSeq(strings.TrimSuffix(rest, "}"), `",`) {
		if k, v, ok := strings.Cut(pair, `="`); ok {
			s.labels[k] = strings.TrimSuffix(v, `"`)
		}
	}
	return s, true
}

// Sum adds up the series of a name that have all the labels, given as
// key, value, key, value.
func (m Metrics) Sum(name string, labels ...string) float64 {
	sum := 0.0
	for _, s := range m {
		if s.name == name && s.has(labels) {
			sum += s.value
		}
	}
	return sum
}

func (s sample) has(labels []string) bool {
	for i := 0; i+1 < len(labels); i += 2 {
		if s.labels[labels[i]] != labels[i+1] {
			return false
		}
	}
	return true
}

// By adds up the series of a name by the values of one label.
func (m Metrics) By(name, label string) map[string]float64 {
	out := make(map[string]float64)
	for _, s := range m {
		if s.name == name {
			out[s.labels[label]] += s.value
		}
	}
	maps.DeleteFunc(out, func(_ string, v float64) bool { return v == 0 })
	return out
}
