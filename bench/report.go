package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// results is what a run found out, as it is written to the file.
type results struct {
	Rounds    int                           `json:"rounds"`
	Rest      float64                       `json:"rest_seconds"` // before idle memory was measured
	Seconds   float64                       `json:"seconds"`      // of each load
	Versions  map[string]string             `json:"versions"`
	Scenarios map[string]figures            `json:"scenarios"`
	Ratios    map[string]map[string]float64 `json:"ratios,omitempty"` // Leno to another scenario
	Targets   []verdict                     `json:"targets,omitempty"`
}

// figures are medians. CPU and memory are sums over the scenario's proxies. The
// first fields are those of the busy and the steady load.
type figures struct {
	RPS         float64 `json:"rps"`
	CPUBusy     float64 `json:"cpu_us_per_req"` // at 64 connections
	P50         float64 `json:"p50_ms"`         // this and what follows: at the fixed rate
	P90         float64 `json:"p90_ms"`
	P99         float64 `json:"p99_ms"`
	CPUSteady   float64 `json:"cpu_us_per_req_steady"`
	RSSIdleMB   float64 `json:"rss_mb_idle"`
	RSSLoadedMB float64 `json:"rss_mb_load"`

	Loads map[string]figure `json:"loads"` // every load by its name
}

// figure is what one load found, by the name of the quantity: rps, p50_ms,
// p90_ms, p99_ms, gbit_s, cpu_us_per_req (for TCP: of a megabyte), rss_mb,
// kb_per_conn.
type figure map[string]float64

// samples are the values of one scenario: for each load and quantity one for
// each round.
type samples struct {
	idleMB float64
	of     map[string]map[string][]float64
}

func (m *samples) note(load string, f figure) {
	if m.of == nil {
		m.of = make(map[string]map[string][]float64)
	}
	if m.of[load] == nil {
		m.of[load] = make(map[string][]float64)
	}
	for key, v := range f {
		m.of[load][key] = append(m.of[load][key], v)
	}
}

// add runs one load once.
func (m *samples) add(ctx context.Context, s *site, sc *scenario, l load, length time.Duration) error {
	if !sc.can(l) {
		return nil
	}
	var o outcome
	cpu, err := spent(sc, func() (n int, err error) {
		o, err = l.run(ctx, s, sc.at(l.kind), length)
		return o.requests, err
	})
	if err != nil {
		return err
	}
	f := figure{"cpu_us_per_req": cpu, "rps": o.rps, "p50_ms": o.p50, "p90_ms": o.p90, "p99_ms": o.p99, "gbit_s": o.gbits}
	maps.DeleteFunc(f, func(key string, v float64) bool { return v == 0 && key != "cpu_us_per_req" })
	if f["rss_mb"], err = memory(sc.proxies); err != nil { // before anything is given back
		return err
	}
	m.note(l.name, f)
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
	loads := make(map[string]figure)
	for name, all := range m.of {
		loads[name] = make(figure)
		for key, v := range all {
			if name == busyLoad && key == "rss_mb" {
				// In later rounds it follows loads that need more.
				loads[name][key] = v[0]
				continue
			}
			loads[name][key] = median(v)
		}
	}
	busy, steady := loads[busyLoad], loads[steadyLoad]
	return figures{
		RPS: busy["rps"], CPUBusy: busy["cpu_us_per_req"], RSSLoadedMB: busy["rss_mb"], RSSIdleMB: m.idleMB,
		P50: steady["p50_ms"], P90: steady["p90_ms"], P99: steady["p99_ms"], CPUSteady: steady["cpu_us_per_req"],
		Loads: loads,
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
			put(ratios, c.key, c.of(leno), c.of(other))
		}
		for load, f := range leno.Loads {
			for key, v := range f {
				put(ratios, load+"."+key, v, other.Loads[load][key])
			}
		}
		r.Ratios[name] = ratios
	}
}

// put leaves out what was not measured on both sides.
func put(ratios map[string]float64, key string, a, b float64) {
	if a != 0 && b != 0 {
		ratios[key] = a / b
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

// print shows the two main loads in one table, with ratios, and then CPU and
// speed of every load.
func (r *results) print(out io.Writer, scenarios []*scenario, loads []load) {
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
			fmt.Fprint(w, "\t", shown(ratios[c.key], "%.2f"))
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	r.printLoads(out, "CPU, us per request (TCP: per MB)", "cpu_us_per_req", "%.1f", scenarios, loads)
	r.printLoads(out, "p50, ms", "p50_ms", "%.3f", scenarios, loads)
	r.printLoads(out, "p99, ms", "p99_ms", "%.3f", scenarios, loads)
	r.printLoads(out, "requests/s", "rps", "%.0f", scenarios, loads)
	r.printLoads(out, "Gbit/s", "gbit_s", "%.2f", scenarios, loads)
	r.printLoads(out, "memory, MB", "rss_mb", "%.1f", scenarios, append(loads, load{name: "idle_1000", what: "1,000 idle connections"}, load{name: "idle_10000", what: "10,000 idle connections"}))
	fmt.Fprintf(out, "\nMedians of %d rounds of %.0f s. CPU and memory are sums over the proxies.\n"+
		"First table: RPS and the first CPU column are of %s; the rest of %s.\n", r.Rounds, r.Seconds, busyLoad, steadyLoad)
	r.printTargets(out)
}

// printLoads shows one quantity of every load that has it.
func (r *results) printLoads(out io.Writer, title, key, format string, scenarios []*scenario, loads []load) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	head := "\n" + title
	for _, sc := range scenarios {
		head += "\t" + sc.name
	}
	for _, l := range loads {
		line, has := l.what, false
		for _, sc := range scenarios {
			v := r.Scenarios[sc.name].Loads[l.name][key]
			line, has = line+"\t"+shown(v, format), has || v != 0
		}
		if !has {
			continue
		}
		if head != "" {
			fmt.Fprintln(w, head)
			head = ""
		}
		fmt.Fprintln(w, line)
	}
	w.Flush()
}

// shown writes a value, and a dash for none.
func shown(v float64, format string) string {
	if v == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
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
