package real

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leno-mesh/leno/test/harness"
)

// The services of the tests of detection, each at a port of its own.
const (
	natsPort    = 4222
	smtpPort    = 2525
	greetPort   = 7001
	webTestPort = 7002
	grpcPort    = 7003
	idlePort    = 7004
	echoPort    = 7005
	tlsPort     = 7443
)

// detection is one scenario: what a protocol needs of whoever finds it out.
type detection struct {
	name  string
	port  uint16
	serve func(t *testing.T, at harness.Place) *application
	try   func(t *testing.T, w *harness.Way, app *application)
}

// application is what a scenario's server did, where it tells.
type application struct {
	accepted atomic.Int64
	opened   chan net.Conn // its ends of connections
}

func detections() []detection {
	return []detection{
		{"nats", natsPort, serveNATS, tryNATS},
		{"smtp", smtpPort, serveSMTP, trySMTP},
		{"silent client", greetPort, serveGreeter, trySilentClient},
		{"web", webTestPort, serveWeb, tryWeb},
		{"grpc", grpcPort, serveGRPC, tryGRPC},
		{"timeout 408", idlePort, serveHAProxy, tryIdle},
		{"tls", tlsPort, serveTLS, tryTLS},
		{"byte by byte", echoPort, serveBytes, tryBytes},
	}
}

// TestDetection finds out protocols on every way: nothing is declared, and no
// time-out decides.
func TestDetection(t *testing.T) {
	var services []harness.Service
	for _, d := range detections() {
		services = append(services, harness.Service{Name: strings.ReplaceAll(d.name, " ", "-"), Port: d.port})
	}
	ways := harness.NewWays(t, services...)
	for _, d := range detections() {
		t.Run(d.name, func(t *testing.T) {
			apps := make(map[harness.Place]*application)
			for _, at := range ways.Servers {
				apps[at] = d.serve(t, at)
				at.Serves(t, d.port)
			}
			for i := range ways.All {
				w := &ways.All[i]
				t.Run(w.Name, func(t *testing.T) { d.try(t, w, apps[w.To]) })
			}
		})
	}
}

// connect opens a connection that nothing can hold up for ever.
func connect(t *testing.T, w *harness.Way, port uint16) net.Conn {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Ceiling)
	defer cancel()
	c, err := w.Dial(ctx, port)
	if err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(2 * harness.Ceiling))
	t.Cleanup(func() { c.Close() })
	return c
}

// decided gives how many connections were decided by something, as far as the
// way has a proxy that counts it.
func decided(w *harness.Way, by string) float64 {
	if w.Client == nil {
		return 0
	}
	return w.Client.Metrics().Sum("leno_detections_total", "decided_by", by)
}

// decidedMore checks who decided since the count was taken.
func decidedMore(t *testing.T, w *harness.Way, by string, since, want float64) {
	t.Helper()
	if w.Client == nil {
		return
	}
	if got := decided(w, by) - since; got != want {
		t.Errorf("%v connections were decided by the %s, want %v", got, by, want)
	}
}

func serveHAProxy(t *testing.T, at harness.Place) *application {
	t.Helper()
	conf := filepath.Join(harness.Dir(t, 0), "haproxy.cfg")
	write(t, conf, fmt.Appendf(nil, `
defaults
	mode http
	timeout client 60s
	timeout http-request 1s
	timeout http-keep-alive 60s
frontend web
	bind %s
	http-request return status 200 content-type text/plain string hello
`, at.At(idlePort)))
	harness.Start(t, at, harness.Program{Name: "haproxy", Args: []string{harness.Need(t, "haproxy", "haproxy"), "-db", "-f", conf}})
	return nil
}

// tryIdle has a server answer 408 to who says nothing: it looks like HTTP and
// is no answer to anything, so those who speak in time are not disturbed.
func tryIdle(t *testing.T, w *harness.Way, _ *application) {
	idle := connect(t, w, idlePort)
	for _, silence := range []time.Duration{0, 100 * time.Millisecond} {
		c := connect(t, w, idlePort)
		harness.Pass(silence)
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: web\r\n\r\n")
		if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("after %s: %v, %v", silence, resp, err)
		}
	}
	resp, err := http.ReadResponse(bufio.NewReader(idle), nil)
	if err != nil || resp.StatusCode != http.StatusRequestTimeout {
		t.Errorf("an idle client got %v, %v, want the server's 408", resp, err)
	}
	// The connections that the proxies kept have got a 408 by now.
	c := connect(t, w, idlePort)
	io.WriteString(c, "GET / HTTP/1.1\r\nHost: web\r\n\r\n")
	if resp, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("after the 408: %v, %v", resp, err)
	}
}

func serveTLS(t *testing.T, at harness.Place) *application {
	t.Helper()
	openssl := harness.Need(t, "openssl", "openssl")
	dir := harness.Dir(t, 0)
	harness.MustRun(t, at, harness.Program{Name: "openssl-req", Dir: dir, Args: []string{
		openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=db.example.com",
		"-days", "1", "-keyout", "key", "-out", "cert",
	}})
	harness.Start(t, at, harness.Program{Name: "openssl", Dir: dir, Args: []string{
		openssl, "s_server", "-accept", at.At(tlsPort).String(), "-cert", "cert", "-key", "key", "-www", "-quiet",
	}})
	return nil
}

// tryTLS has the server's own TLS arrive untouched, and counted by its name.
func tryTLS(t *testing.T, w *harness.Way, _ *application) {
	const name = "db.example.com"
	named := func(p *harness.Proxy) float64 { return p.Metrics().Sum("leno_tls_open_total", "sni", name) }
	before := make(map[*harness.Proxy]float64)
	for _, p := range w.Proxies() {
		before[p] = named(p)
	}
	at := w.Address(tlsPort)
	out := harness.MustRun(t, w.From, harness.Program{Name: "curl", Args: []string{
		harness.Need(t, "curl", "curl"), "-sS", "--insecure", "-w", "%{http_code}", "-o", "/dev/null", "--max-time", "60",
		"--resolve", fmt.Sprintf("%s:%d:%s", name, at.Port(), at.Addr()), "https://" + net.JoinHostPort(name, fmt.Sprint(at.Port())) + "/",
	}})
	if out != "200" {
		t.Errorf("curl: %q", out)
	}
	for p, n := range before {
		if got := named(p); got != n+1 {
			t.Errorf("the proxy of %s counted %v connections to %s, want 1", p.Name, got-n, name)
		}
	}
}

// prior gives HTTP/2 with prior knowledge over one connection.
func prior(t *testing.T, c net.Conn) *http.ClientConn {
	t.Helper()
	transport := &http.Transport{
		Protocols:   new(http.Protocols),
		DialContext: func(context.Context, string, string) (net.Conn, error) { return c, nil },
	}
	transport.Protocols.SetUnencryptedHTTP2(true)
	cc, err := transport.NewClientConn(t.Context(), "http", "web:80")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cc.Close() })
	return cc
}

// fetch asks over one connection, and wants an answer with the version that
// the server heard.
func fetch(t *testing.T, ask func(*http.Request) (*http.Response, error), want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*harness.Ceiling)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://web/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := ask(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || !bytes.Equal(b, []byte(want)) {
		t.Fatalf("%s %q (%v), want %q", resp.Status, b, err, want)
	}
}
