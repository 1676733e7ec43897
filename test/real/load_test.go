package real

import (
	"fmt"
	"regexp"
	"strconv"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

// number reads the first group of a pattern in a program's output.
func number(t *testing.T, out, pattern string) float64 {
	t.Helper()
	m := regexp.MustCompile(pattern).FindStringSubmatch(out)
	if m == nil {
		t.Fatalf("no %q in:\n%s", pattern, out)
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestLoadIsCountedOnBothSides compares what wrk and h2load counted with what
// the proxies counted.
func TestLoadIsCountedOnBothSides(t *testing.T) {
	wrk, h2load := harness.Need(t, "wrk", "wrk"), harness.Need(t, "h2load", "nghttp2-client")
	const connections = 32
	ways(t, "web", webPort, func(t *testing.T, s *street) {
		startNginx(t, s.to)
		url := fmt.Sprintf("http://%s/small", s.address)

		out := s.run(t, h2load, "--h1", "-n", "5000", "-c", strconv.Itoa(connections), "-t", "1", url)
		if ok := number(t, out, `(\d+) 2xx`); ok != 5000 {
			t.Errorf("h2load: %s", out)
		}
		s.counted(t, 5000, 0)

		out = s.run(t, wrk, "-t", "1", "-c", strconv.Itoa(connections), "-d", "2s", url)
		for _, bad := range []string{"Socket errors", "Non-2xx"} {
			if regexp.MustCompile(bad).MatchString(out) {
				t.Errorf("wrk: %s", out)
			}
		}
		// wrk hangs up with a request under way on each connection.
		s.counted(t, 5000+number(t, out, `(\d+) requests in`), connections)
	})
}

// counted waits until both proxies have counted so many requests and as many
// successes, and at most some more requests.
func (s *street) counted(t *testing.T, want, more float64) {
	t.Helper()
	for direction, p := range map[string]*harness.Proxy{"outbound": s.client, "inbound": s.server} {
		harness.Wait(t, "counters of "+direction, func() string {
			m := p.Metrics()
			asked := m.Sum("request_total", "direction", direction, "tls", "true")
			good := m.Sum("response_total", "direction", direction, "classification", "success", "status_code", "200")
			timed := m.Sum("response_latency_ms_count", "direction", direction)
			if asked < want || asked > want+more || good < want || good > want+more || timed < want || timed > want+more {
				return fmt.Sprintf("want %v to %v, got %v requests, %v good, %v timed", want, want+more, asked, good, timed)
			}
			return ""
		})
	}
}
