package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// target is one thing that Leno is to reach, measured in the same run.
type target struct {
	what  string
	than  string // a scenario to compare with; "" for Leno's own value
	load  string
	key   string
	atMin bool // the limit is a least value
	limit float64
	unit  string
	added bool // compare what the proxies add to the direct way
}

const (
	haproxyScenario = "haproxy_mtls_2hop"
	envoyScenario   = "envoy_mtls_2hop"
	directScenario  = "direct"
)

// everyTarget gives what docs/performance.md speaks of, in its order.
func everyTarget() []target {
	const cpu, times = "cpu_us_per_req", "x"
	return []target{
		{what: "HTTP/1.1, 64 connections: CPU per request", than: haproxyScenario, load: busyLoad, key: cpu, limit: 1, unit: times},
		{what: "HTTP/1.1, 64 connections: CPU per request", than: envoyScenario, load: busyLoad, key: cpu, limit: 0.5, unit: times},
		{what: "gRPC unary, 64 connections: CPU per request", than: haproxyScenario, load: "grpc_c64", key: cpu, limit: 1, unit: times},
		{what: "gRPC unary, 64 connections: CPU per request", than: envoyScenario, load: "grpc_c64", key: cpu, limit: 0.5, unit: times},
		{what: "HTTP/1.1, 2,000/s: CPU per request", than: haproxyScenario, load: steadyLoad, key: cpu, limit: 1.1, unit: times},
		{what: "HTTP/1.1, 1 connection: added p50", than: haproxyScenario, load: "http1_c1", key: "p50_ms", limit: 1, unit: times, added: true},
		{what: "HTTP/1.1, 2,000/s: added p99", than: haproxyScenario, load: steadyLoad, key: "p99_ms", limit: 1, unit: times, added: true},
		{what: "TCP to the server: throughput", than: haproxyScenario, load: "tcp_up", key: "gbit_s", limit: 1, unit: times, atMin: true},
		{what: "TCP from the server: throughput", than: haproxyScenario, load: "tcp_down", key: "gbit_s", limit: 1, unit: times, atMin: true},
		{what: "memory of a proxy, idle", key: "rss_mb_idle", limit: 12, unit: "MB"},
		{what: "memory of a proxy, 64 busy connections", load: busyLoad, key: "rss_mb", limit: 24, unit: "MB"},
		{what: "memory of a proxy for an idle connection", load: "idle_1000", key: "kb_per_conn", limit: 28, unit: "KB"},
	}
}

// targeted says whether a target needs a load's figures of a scenario: the
// short form measures no others.
func targeted(sc *scenario, l load) bool {
	return slices.ContainsFunc(everyTarget(), func(t target) bool {
		return t.load == l.name && (sc.name == lenoScenario || sc.name == t.than || sc.name == directScenario && t.added)
	})
}

// lenoProxies are how many proxies of Leno's the figures of memory sum up.
const lenoProxies = 2

// measured gives a target's value, and whether the run has it. A ratio of added
// latencies needs the direct way in the same run.
func (t target) measured(r *results) (float64, bool) {
	value := func(scenario string) float64 {
		f := r.Scenarios[scenario]
		if t.load == "" {
			return f.RSSIdleMB
		}
		v := f.Loads[t.load][t.key]
		if t.added && v != 0 {
			v -= r.Scenarios[directScenario].Loads[t.load][t.key]
		}
		return v
	}
	if t.load == "" && r.Rest == 0 {
		return 0, false // nobody was left alone
	}
	leno := value(lenoScenario)
	if t.added && r.Scenarios[directScenario].Loads[t.load][t.key] == 0 {
		return 0, false
	}
	if t.than == "" {
		return leno / lenoProxies, leno != 0
	}
	other := value(t.than)
	return leno / other, leno != 0 && other > 0
}

func (t target) met(v float64) bool {
	if t.atMin {
		return v >= t.limit
	}
	return v <= t.limit
}

// verdict is how one target stands, for the file.
type verdict struct {
	What     string  `json:"what"`
	Against  string  `json:"against,omitempty"`
	Target   float64 `json:"target"`
	Measured float64 `json:"measured"`
	Met      bool    `json:"met"`
}

// judge compares the run with the targets that it has figures for.
func (r *results) judge() {
	for _, t := range everyTarget() {
		if v, ok := t.measured(r); ok {
			r.Targets = append(r.Targets, verdict{t.what, t.than, t.limit, v, t.met(v)})
		}
	}
}

// printTargets shows each target beside what was measured.
func (r *results) printTargets(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "\nTARGET\tAGAINST\tLIMIT\tMEASURED\t")
	for _, t := range everyTarget() {
		sign := "<="
		if t.atMin {
			sign = ">="
		}
		measured, mark := "-", "not in this run"
		if v, ok := t.measured(r); ok {
			measured, mark = fmt.Sprintf("%.2f %s", v, t.unit), "missed"
			if t.met(v) {
				mark = "met"
			}
		}
		against := t.than
		if against == "" {
			against = "-"
		}
		fmt.Fprintf(w, "%s\t%s\t%s %g %s\t%s\t%s\n", t.what, against, sign, t.limit, t.unit, measured, mark)
	}
	w.Flush()
}
