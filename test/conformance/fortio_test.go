package conformance

import (
	"fmt"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

// Fortio serves more than HTTP, each at a port of its own.
const (
	fortioGRPC = 9088
	fortioTCP  = 9089
)

func fortioServices() []harness.Service {
	return []harness.Service{{Name: "fortio-grpc", Port: fortioGRPC}, {Name: "fortio-tcp", Port: fortioTCP}}
}

// serveFortio starts fortio's own servers: HTTP/1 and HTTP/2 at one port.
func serveFortio(t *testing.T, at harness.Place, port uint16) func(*testing.T) {
	t.Helper()
	harness.Start(t, at, harness.Program{Name: "fortio", Args: []string{
		harness.Tool(t, "fortio"), "server", "-http-port", at.At(port).String(), "-grpc-port", at.At(fortioGRPC).String(),
		"-tcp-port", at.At(fortioTCP).String(), "-redirect-port", "disabled", "-udp-port", "disabled",
	}})
	return nil
}

// judgeFortio has fortio call its own servers.
func judgeFortio(t *testing.T, c *court) {
	fortio := harness.Tool(t, "fortio")
	load := []string{fortio, "load", "-quiet", "-n", "1000", "-c", "16", "-qps", "0", "-timeout", "60s"}
	const good = `Code 200 : 1000 \(100.0 %\)`
	for name, args := range map[string][]string{
		"http":          {c.url("/echo?size=1000")},
		"http, chunked": {"-stdclient", c.url("/echo?size=100000")},
		"http, delays":  {c.url("/echo?delay=5ms:50,1ms:50")},
		"http, posts":   {"-payload-size", "10000", c.url("/echo")},
		"http2":         {"-h2", "-stdclient", c.url("/echo?size=1000")},
	} {
		out, err := c.exec(t, append(load, args...)...)
		c.verdict(name, wants(out, err, good))
	}
	grpc := append(load, "-grpc")
	at := fmt.Sprint(c.Address(fortioGRPC))
	out, err := c.exec(t, append(grpc, "-ping", at)...)
	c.verdict("grpc ping", wants(out, err, `Ping SERVING : 1000`))
	out, err = c.exec(t, append(grpc, at)...)
	c.verdict("grpc health", wants(out, err, `Health SERVING : 1000`))
	out, err = c.exec(t, append(load, "-payload", "to and fro", fmt.Sprintf("tcp://%s", c.Address(fortioTCP)))...)
	c.verdict("tcp", wants(out, err, `tcp OK : 1000 \(100.0 %\)`))
}
