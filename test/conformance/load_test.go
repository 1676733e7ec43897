package conformance

import (
	"fmt"
	"regexp"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

// wants gives an error if a program failed, or what it printed has not all of
// the patterns.
func wants(out string, err error, patterns ...string) error {
	for _, p := range patterns {
		if err == nil && !regexp.MustCompile(p).MatchString(out) {
			err = fmt.Errorf("no %q in what it printed", p)
		}
	}
	if err != nil {
		return fmt.Errorf("%w:\n%s", err, out)
	}
	return nil
}

// judgeLoad asks as much as wrk and h2load can, and wants every answer.
func judgeLoad(t *testing.T, c *court) {
	h2load, wrk := harness.Need(t, "h2load", "nghttp2-client"), harness.Need(t, "wrk", "wrk")
	const good = `5000 succeeded, 0 failed, 0 errored, 0 timeout`
	for name, args := range map[string][]string{
		"h2load 1.1":             {"--h1", "-c", "32"},
		"h2load 1.1 pipelined":   {"--h1", "-c", "8", "-m", "8"},
		"h2load 2":               {"-c", "4", "-m", "32"},
		"h2load 2 small windows": {"-c", "4", "-m", "8", "-w", "10", "-W", "10"},
		"h2load 2 one by one":    {"-c", "64", "-m", "1"},
	} {
		out, err := c.exec(t, append([]string{h2load, "-n", "5000", "-t", "1"}, append(args, c.url("/"))...)...)
		c.verdict(name, wants(out, err, good, `status codes: 5000 2xx`))
	}
	out, err := c.exec(t, h2load, "-n", "50", "-t", "1", "-c", "2", "-m", "10", c.url("/large"))
	c.verdict("h2load 2 large", wants(out, err, `50 succeeded, 0 failed, 0 errored`))

	out, err = c.exec(t, wrk, "-t", "1", "-c", "32", "-d", "2s", "--timeout", "30s", c.url("/"))
	err = wants(out, err, `[1-9]\d* requests in`)
	if err == nil && regexp.MustCompile(`Socket errors|Non-2xx`).MatchString(out) {
		err = fmt.Errorf("not all went well:\n%s", out)
	}
	c.verdict("wrk", err)
}
