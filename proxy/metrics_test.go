package proxy_test

import (
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/telemetry"
)

// sum adds up the series of a metric that have all the labels, each written
// as name="value".
func sum(t testing.TB, r *telemetry.Registry, metric string, labels ...string) (total int) {
	t.Helper()
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
lines:
	for line := range strings.Lines(text.String()) {
		if series := line[:strings.LastIndexByte(line, ' ')]; seen[series] {
			t.Fatalf("%s is there twice", series)
		} else if line[0] != '#' {
			seen[series] = true
		}
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), metric)
		if !ok || rest == "" || rest[0] != '{' && rest[0] != ' ' {
			continue
		}
		for _, l := range labels {
			if !strings.Contains(rest, l) {
				continue lines
			}
		}
		n, err := strconv.ParseFloat(rest[strings.LastIndexByte(rest, ' ')+1:], 64)
		if err != nil {
			t.Fatal(err)
		}
		total += int(n)
	}
	return total
}

// counted waits for a metric to reach want, which it does a moment after the
// answer, and fails if it is something else then.
func counted(t testing.TB, r *telemetry.Registry, metric string, want int, labels ...string) {
	t.Helper()
	if got := reached(t, r, metric, want, labels...); got > want {
		t.Errorf("%s%v is %d, want %d", metric, labels, got, want)
	}
}

// reached waits for a metric to be want or more.
func reached(t testing.TB, r *telemetry.Registry, metric string, want int, labels ...string) (got int) {
	t.Helper()
	got = sum(t, r, metric, labels...)
	for end := time.Now().Add(patience); got < want; got = sum(t, r, metric, labels...) {
		if time.Now().After(end) {
			t.Errorf("%s%v is %d, want %d", metric, labels, got, want)
			break
		}
		runtime.Gosched()
	}
	return got
}
