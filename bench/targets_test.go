package main

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
)

// TestTargets judges a made-up run: ratios, a least value, memory of one of two
// proxies, and what the proxies add to the direct way.
func TestTargets(t *testing.T) {
	of := func(cpu, p50, gbits float64) figures {
		return figures{CPUBusy: cpu, RSSIdleMB: 20, Loads: map[string]figure{
			busyLoad: {"cpu_us_per_req": cpu}, "http1_c1": {"p50_ms": p50}, "tcp_up": {"gbit_s": gbits},
		}}
	}
	r := results{Rest: 70, Scenarios: map[string]figures{
		directScenario: of(0, 0.5, 0), haproxyScenario: of(20, 1.5, 8), envoyScenario: of(50, 2, 4), lenoScenario: of(18, 1.75, 6),
	}}
	r.judge()
	want := map[string]verdict{
		"HTTP/1.1, 64 connections: CPU per request " + haproxyScenario: {Measured: 0.9, Met: true},
		"HTTP/1.1, 64 connections: CPU per request " + envoyScenario:   {Measured: 0.36, Met: true},
		"HTTP/1.1, 1 connection: added p50 " + haproxyScenario:         {Measured: 1.25},
		"TCP to the server: throughput " + haproxyScenario:             {Measured: 0.75},
		"memory of a proxy, idle ":                                     {Measured: 10, Met: true},
	}
	if len(r.Targets) != len(want) {
		t.Errorf("%d verdicts, want %d: %+v", len(r.Targets), len(want), r.Targets)
	}
	for _, v := range r.Targets {
		if w, ok := want[v.What+" "+v.Against]; !ok || v.Measured != w.Measured || v.Met != w.Met {
			t.Errorf("verdict %+v, want %+v", v, w)
		}
	}
	var out strings.Builder
	r.printTargets(&out)
	for _, text := range []string{"<= 1 x", "0.90 x", ">= 1 x", "missed", "not in this run"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("no %q in\n%s", text, &out)
		}
	}
}

func TestFrame(t *testing.T) {
	good := frame([]byte(listServices))
	if n := binary.BigEndian.Uint32(good[1:]); int(n) != len(good)-5 {
		t.Errorf("a length of %d in %d bytes", n, len(good))
	}
	if err := skipMessage(bytes.NewReader(good)); err != nil {
		t.Error(err)
	}
	for _, bad := range [][]byte{nil, good[:4], good[:len(good)-1], frame(nil), append([]byte{1}, good[1:]...)} {
		if skipMessage(bytes.NewReader(bad)) == nil {
			t.Errorf("no error for %x", bad)
		}
	}
}

// TestShortForm holds what make bench-quick prints: targets of both peers.
func TestShortForm(t *testing.T) {
	scenarios, err := choose(options{quick: true})
	if err != nil {
		t.Fatal(err)
	}
	loads, err := chooseLoads(options{quick: true})
	if err != nil {
		t.Fatal(err)
	}
	have := make(map[string]bool)
	for _, sc := range scenarios {
		have[sc.name] = true
	}
	for _, l := range loads {
		have[l.name] = true
	}
	for _, target := range everyTarget() {
		for _, name := range []string{target.than, target.load} {
			if name != "" && name != "idle_1000" && !have[name] {
				t.Errorf("%s: the short form has no %s", target.what, name)
			}
		}
	}
}
