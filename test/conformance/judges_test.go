package conformance

import (
	"fmt"
	"os"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// judge is one foreign program, or a family of them, with what it needs behind
// the proxies.
type judge struct {
	name string
	port uint16
	// serve starts what answers at a place, for as long as the test runs. What
	// it gives, if anything, starts that anew.
	serve func(t *testing.T, at harness.Place, port uint16) (restart func(t *testing.T))
	// rest says that the judge mostly waits, so that all ways are judged at once.
	rest bool
	// run judges one way.
	run func(t *testing.T, c *court)
}

// judges stand in the order of what they teach when they fail.
func judges() []judge {
	ends, ages := newCalls(), agingCalls()
	return []judge{
		{"curl", 8081, serveTruth, false, judgeCurl},
		{"h2spec", 8082, serveNghttpd, false, judgeH2spec},
		{"nghttp", 8083, serveNghttpd, false, judgeNghttp},
		{"grpc-interop", 8084, serveInterop, false, judgeInterop},
		{"grpc", 8091, ends.serve, true, ends.judge},
		{"grpc-goaway", 8092, ages.serve, false, ages.judgeAge},
		{"nginx", 8093, serveNginx, false, judgeNginx},
		{"websocket-2", 8094, serveExtended, false, judgeExtended},
		{"ghz", 8085, serveInterop, false, judgeGhz},
		{"websocket", 8086, serveEcho, false, judgeWebSocket},
		{"load", 8087, serveTruth, false, judgeLoad},
		{"fortio", 8088, serveFortio, false, judgeFortio},
		{"node-5s", 8089, serveNode(5000), true, judgeKeepAlive(5000)},
		{"node-1s", 8090, serveNode(1000), true, judgeKeepAlive(1000)},
	}
}

// court is where one judge judges one way, and who keeps the record.
type court struct {
	*harness.Way
	port    uint16
	restart func(t *testing.T)
	passed  int
	failed  []string
}

// verdict notes what became of one case.
func (c *court) verdict(name string, err error) {
	if err == nil {
		c.passed++
		return
	}
	c.failed = append(c.failed, fmt.Sprintf("%s: %v", name, err))
}

// url is that of a path at the service.
func (c *court) url(path string) string {
	return fmt.Sprintf("http://%s%s", c.Address(c.port), path)
}

// exec runs a judge's program where the client is.
func (c *court) exec(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return harness.Run(t, c.From, harness.Program{Name: args[0], Args: args})
}

func TestJudges(t *testing.T) {
	all := judges()
	services := append(fortioServices(), harness.Service{Name: "nginx-1", Port: nginxHTTP1})
	for _, j := range all {
		services = append(services, harness.Service{Name: j.name, Port: j.port})
	}
	left := len(all)
	defer func() {
		for _, j := range all[len(all)-left:] {
			note(t, j.name+": not judged") // without root or a tool, say
		}
	}()
	ways := harness.NewWays(t, services...)
	for _, j := range all {
		left--
		t.Run(j.name, func(t *testing.T) {
			served := false
			defer func() {
				if !served {
					note(t, j.name+": not judged, nothing serves")
				}
			}()
			restart := make(map[harness.Place]func(*testing.T))
			for _, at := range ways.Servers {
				restart[at] = j.serve(t, at, j.port)
				at.Serves(t, j.port)
			}
			served = true
			for i := range ways.All {
				c := &court{Way: &ways.All[i], port: j.port, restart: restart[ways.All[i].To]}
				t.Run(c.Name, func(t *testing.T) {
					if j.rest {
						t.Parallel()
					}
					c.hold(t, j)
				})
			}
		})
	}
}

// hold has the judge judge, and tells the verdicts.
func (c *court) hold(t *testing.T, j judge) {
	ended := false
	defer func() {
		if !ended && !t.Skipped() {
			c.failed = append(c.failed, "the judge came to no end")
		}
		c.record(t, j.name+"-"+c.Name)
	}()
	j.run(t, c)
	ended = true
}

func (c *court) record(t *testing.T, name string) {
	line := fmt.Sprintf("%s: %d passed, %d failed", name, c.passed, len(c.failed))
	t.Log(line)
	for _, f := range c.failed {
		t.Error(f)
	}
	if c.passed == 0 && len(c.failed) == 0 {
		line = name + ": not judged"
		if !t.Skipped() {
			t.Error("the judge said nothing")
		}
	}
	note(t, line)
}

// note adds a line to the report, where one was asked for.
func note(t *testing.T, line string) {
	t.Helper()
	path := os.Getenv("LENO_CONFORMANCE")
	if path == "" {
		return
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := fmt.Fprintln(f, line); err != nil {
		t.Fatal(err)
	}
}
