package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// results is what a run found out, as it is written to the file.
type results struct {
	Rounds    int                           `json:"rounds"`
	Seconds   float64                       `json:"seconds"` // of each load
	Versions  map[string]string             `json:"versions"`
	Scenarios map[string]figures            `json:"scenarios"`
	Ratios    map[string]map[string]float64 `json:"ratios,omitempty"` // Leno to another scenario
}

// figures are medians. CPU and memory are sums over the scenario's proxies.
type figures struct {
	RPS         float64 `json:"rps"`
	CPUBusy     float64 `json:"cpu_us_per_req"` // at 64 connections
	P50         float64 `json:"p50_ms"`         // this and what follows: at the fixed rate
	P90         float64 `json:"p90_ms"`
	P99         float64 `json:"p99_ms"`
	CPUSteady   float64 `json:"cpu_us_per_req_steady"`
	RSSIdleMB   float64 `json:"rss_mb_idle"`
	RSSLoadedMB float64 `json:"rss_mb_load"`
}

// samples are the values of one scenario, one for each round.
type samples struct {
	idleMB                                           float64
	rps, cpuBusy, cpuSteady, p50, p90, p99, loadedMB []float64
}

// add runs one round.
func (m *samples) add(ctx context.Context, s *site, sc *scenario, length time.Duration) error {
	var b busy
	var st steady
	cpu, err := spent(sc, func() (n int, err error) {
		b, err = s.wrk(ctx, sc.target, length)
		return b.requests, err
	})
	if err != nil {
		return err
	}
	mb, err := memory(sc.proxies) // before anything is given back
	if err != nil {
		return err
	}
	cpuSteady, err := spent(sc, func() (n int, err error) {
		st, err = s.fortio(ctx, sc.target, length)
		return st.requests, err
	})
	if err != nil {
		return err
	}
	m.rps, m.cpuBusy, m.cpuSteady = append(m.rps, b.rps), append(m.cpuBusy, cpu), append(m.cpuSteady, cpuSteady)
	m.p50, m.p90, m.p99 = append(m.p50, st.p50), append(m.p90, st.p90), append(m.p99, st.p99)
	m.loadedMB = append(m.loadedMB, mb)
	if dead := s.dead(); dead != nil {
		return s.complain(dead)
	}
	return nil
}

// spent gives the CPU time of the proxies for each request of a load, in
// microseconds.
func spent(sc *scenario, load func() (requests int, err error)) (float64, error) {
	before, err := cpuTime(sc.proxies)
	if err != nil {
		return 0, err
	}
	n, err := load()
	if err != nil {
		return 0, err
	}
	after, err := cpuTime(sc.proxies)
	return float64(after-before) / float64(time.Microsecond) / float64(max(n, 1)), err
}

func (m *samples) medians() figures {
	return figures{
		RPS: median(m.rps), CPUBusy: median(m.cpuBusy), CPUSteady: median(m.cpuSteady),
		P50: median(m.p50), P90: median(m.p90), P99: median(m.p99),
		RSSIdleMB: m.idleMB, RSSLoadedMB: median(m.loadedMB),
	}
}

// median sorts what it gets.
func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	slices.Sort(v)
	if half := len(v) / 2; len(v)%2 == 0 {
		return (v[half-1] + v[half]) / 2
	}
	return v[len(v)/2]
}

const lenoScenario = "leno_mtls_2hop"

// compare fills in Leno's ratios to every other scenario that has proxies.
func (r *results) compare() {
	leno, ok := r.Scenarios[lenoScenario]
	if !ok {
		return
	}
	r.Ratios = make(map[string]map[string]float64)
	for name, other := range r.Scenarios {
		if name == lenoScenario || other.CPUBusy == 0 {
			continue
		}
		ratios := make(map[string]float64)
		for _, c := range columns() {
			ratios[c.key] = c.of(leno) / c.of(other)
		}
		r.Ratios[name] = ratios
	}
}

type column struct {
	key, head, format string
	of                func(figures) float64
}

func columns() []column {
	return []column{
		{"rps", "RPS", "%.0f", func(f figures) float64 { return f.RPS }},
		{"cpu_us_per_req", "CPU_US/REQ", "%.1f", func(f figures) float64 { return f.CPUBusy }},
		{"p50_ms", "P50_MS", "%.3f", func(f figures) float64 { return f.P50 }},
		{"p90_ms", "P90_MS", "%.3f", func(f figures) float64 { return f.P90 }},
		{"p99_ms", "P99_MS", "%.3f", func(f figures) float64 { return f.P99 }},
		{"cpu_us_per_req_steady", "CPU_US/REQ@2000", "%.1f", func(f figures) float64 { return f.CPUSteady }},
		{"rss_mb_idle", "RSS_MB_IDLE", "%.1f", func(f figures) float64 { return f.RSSIdleMB }},
		{"rss_mb_load", "RSS_MB_LOAD", "%.1f", func(f figures) float64 { return f.RSSLoadedMB }},
	}
}

// print shows the scenarios in their order, and below them the ratios.
func (r *results) print(out io.Writer, scenarios []*scenario) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprint(w, "SCENARIO")
	for _, c := range columns() {
		fmt.Fprint(w, "\t", c.head)
	}
	fmt.Fprintln(w)
	for _, sc := range scenarios {
		fmt.Fprint(w, sc.name)
		for _, c := range columns() {
			fmt.Fprintf(w, "\t"+c.format, c.of(r.Scenarios[sc.name]))
		}
		fmt.Fprintln(w)
	}
	for _, sc := range scenarios {
		ratios, ok := r.Ratios[sc.name]
		if !ok {
			continue
		}
		fmt.Fprint(w, "leno / ", sc.name)
		for _, c := range columns() {
			fmt.Fprintf(w, "\t%.2f", ratios[c.key])
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	fmt.Fprintf(out, "\nMedians of %d rounds of %.0f s. CPU and memory are sums over the proxies.\n"+
		"RPS and the first CPU column: %d connections; the rest: %d requests/s over %d connections.\n",
		r.Rounds, r.Seconds, busyConnections, steadyRate, steadyConnections)
}

func (r *results) write(path string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
