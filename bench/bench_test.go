package main

import (
	"crypto/tls"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const wrkOutput = `Running 4s test @ http://127.0.60.10:8080/
  1 threads and 64 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   674.02us  265.03us   4.07ms   76.12%
    Req/Sec    95.22k     4.19k  102.21k    72.50%
  Latency Distribution
     50%  674.00us
     75%  800.00us
     90%    1.05ms
     99%    4.07ms
  379001 requests in 4.02s, 95.07MB read
Requests/sec:  94320.10
Transfer/sec:     23.66MB
`

func TestParseWrk(t *testing.T) {
	got, err := parseWrk([]byte(wrkOutput))
	if err != nil || got != (outcome{requests: 379001, rps: 94320.10, p50: 0.674, p90: 1.05, p99: 4.07}) {
		t.Errorf("parseWrk = %+v, %v", got, err)
	}
	for _, bad := range []string{
		"",
		wrkOutput + "  Non-2xx or 3xx responses: 3\n",
		wrkOutput + "  Socket errors: connect 0, read 12, write 0, timeout 0\n",
	} {
		if _, err := parseWrk([]byte(bad)); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

func TestParseFortio(t *testing.T) {
	const good = `{"RetCodes":{"200":8000},"DurationHistogram":{"Count":8000,"Percentiles":[
		{"Percentile":50,"Value":0.0004},{"Percentile":90,"Value":0.0008},{"Percentile":99,"Value":0.0021}]}}`
	got, err := parseFortio([]byte(good), "200")
	if err != nil || got.requests != 8000 || got.p50 != 0.4 || got.p90 != 0.8 || got.p99 != 2.1 {
		t.Errorf("parseFortio = %+v, %v", got, err)
	}
	for _, bad := range []string{"", "{}", strings.Replace(good, `"200":8000`, `"200":7999,"502":1`, 1)} {
		if _, err := parseFortio([]byte(bad), "200"); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

const h2loadOutput = `starting benchmark...
finished in 1.00s, 27450.00 req/s, 3.35MB/s
requests: 27450 total, 27451 started, 27450 done, 27450 succeeded, 0 failed, 0 errored, 0 timeout
status codes: 27451 2xx, 0 3xx, 0 4xx, 0 5xx
`

func TestParseH2load(t *testing.T) {
	got, err := parseH2load([]byte(h2loadOutput))
	if err != nil || got != (outcome{requests: 27450, rps: 27450}) {
		t.Errorf("parseH2load = %+v, %v", got, err)
	}
	for _, bad := range []string{"", strings.Replace(h2loadOutput, "0 failed", "3 failed", 1)} {
		if _, err := parseH2load([]byte(bad)); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

func TestParseIperf(t *testing.T) {
	const good = `{"end":{"sum_received":{"bytes":2500000000,"bits_per_second":10000000000}}}`
	got, err := parseIperf([]byte(good))
	if err != nil || got != (outcome{requests: 2500, gbits: 10}) {
		t.Errorf("parseIperf = %+v, %v", got, err)
	}
	for _, bad := range []string{"", "{}", `{"error":"unable to connect"}`} {
		if _, err := parseIperf([]byte(bad)); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, test := range []struct {
		of   []float64
		want float64
	}{
		{nil, 0},
		{[]float64{3}, 3},
		{[]float64{9, 1, 5}, 5},
		{[]float64{4, 1, 2, 100}, 3},
	} {
		if got := median(test.of); got != test.want {
			t.Errorf("median(%v) = %v, want %v", test.of, got, test.want)
		}
	}
}

func TestResident(t *testing.T) {
	got, err := resident([]byte("Name:\tx\nVmHWM:\t  9000 kB\nVmRSS:\t    8404 kB\nRssAnon:\t 1 kB\n"))
	if err != nil || got != 8404 {
		t.Errorf("resident = %d, %v", got, err)
	}
	if _, err := resident([]byte("Name:\tx\n")); err == nil {
		t.Error("no error without VmRSS")
	}
}

// TestResultsForm holds the names that readers of the file rely on.
func TestResultsForm(t *testing.T) {
	r := results{Rounds: 1, Rest: 70, Scenarios: map[string]figures{
		"direct":            {RPS: 90000},
		"haproxy_mtls_2hop": {RPS: 30000, CPUBusy: 24, P50: 1, P90: 1, P99: 2, CPUSteady: 50, RSSIdleMB: 37, RSSLoadedMB: 40},
		lenoScenario:        {RPS: 33000, CPUBusy: 18, P50: 1, P90: 1, P99: 1, CPUSteady: 55, RSSIdleMB: 20, RSSLoadedMB: 30},
	}}
	r.compare()
	path := filepath.Join(t.TempDir(), "results", "latest.json")
	if err := r.write(path); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Scenarios map[string]map[string]any
		Ratios    map[string]map[string]float64
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"cpu_us_per_req", "rps", "p50_ms", "p99_ms", "rss_mb_idle", "rss_mb_load"} {
		if _, ok := got.Scenarios[lenoScenario][key]; !ok {
			t.Errorf("scenario without %s: %s", key, text)
		}
	}
	if ratio := got.Ratios["haproxy_mtls_2hop"]["cpu_us_per_req"]; ratio != 0.75 {
		t.Errorf("ratio of CPU = %v, want 0.75", ratio)
	}
	if _, ok := got.Ratios["direct"]; ok {
		t.Error("a ratio to a scenario without proxies")
	}
}

func TestPrint(t *testing.T) {
	r := results{Rounds: 5, Rest: 70, Seconds: 4, Scenarios: map[string]figures{
		"nginx_1hop": {RPS: 50000, CPUBusy: 16, P50: 1, P90: 1, P99: 2, CPUSteady: 40, RSSIdleMB: 9, RSSLoadedMB: 10},
		lenoScenario: {
			RPS: 25000, CPUBusy: 24, P50: 1, P90: 1, P99: 1, CPUSteady: 60, RSSIdleMB: 18, RSSLoadedMB: 30,
			Loads: map[string]figure{"tcp_up": {"gbit_s": 8.25}},
		},
	}}
	r.compare()
	var out strings.Builder
	scenarios, err := choose(options{scenarios: "nginx_1hop," + lenoScenario})
	if err != nil {
		t.Fatal(err)
	}
	r.print(&out, scenarios, everyLoad())
	for _, want := range []string{"SCENARIO", "nginx_1hop ", " 50000 ", "leno / nginx_1hop ", " 0.50 ", "Medians of 5 rounds of 4 s.", "8.25", "TCP, bulk to the server"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, &out)
		}
	}
	if _, err := choose(options{scenarios: "nginx_9hop"}); err == nil {
		t.Error("no error for an unknown scenario")
	}
}

// TestCertificates loads what HAProxy will load.
func TestCertificates(t *testing.T) {
	dir := t.TempDir()
	if err := writeCertificates(dir); err != nil {
		t.Fatal(err)
	}
	for _, side := range []string{"server.pem", "client.pem"} {
		path := filepath.Join(dir, side)
		if _, err := tls.LoadX509KeyPair(path, path); err != nil {
			t.Error(err)
		}
	}
}
