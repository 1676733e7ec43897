package server_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/control/server"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/sidecar"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// plane is a running control plane.
type plane struct {
	*operator.Client
	log  *logs
	stop func()
}

// logs keeps what a server said.
type logs struct {
	mu   sync.Mutex
	text strings.Builder // guarded by mu
}

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func start(t *testing.T, cfg server.Config) *plane {
	t.Helper()
	p, _ := startAt(t, cfg)
	return p
}

// startAt also gives the address for proxies.
func startAt(t *testing.T, cfg server.Config) (*plane, string) {
	t.Helper()
	if cfg.DataDir == "" {
		cfg.DataDir = t.TempDir()
	}
	cfg.Listen, cfg.Version = "127.0.0.1:0", "1.2.3"
	all := &logs{}
	cfg.Log = slog.New(slog.NewTextHandler(io.MultiWriter(t.Output(), all), nil))
	s, err := server.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	c := operator.NewClientOver(operator.Way{Place: "the test's server", Dial: func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, s.OperatorAddr().Network(), s.OperatorAddr().String())
	}})
	stopped := false
	p := &plane{Client: c, log: all, stop: func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		c.Close()
	}}
	t.Cleanup(p.stop)
	return p, s.Addr().String()
}

// join runs a sidecar in this process with a token of its own.
func (p *plane) join(t *testing.T, account string, services []string, change func(*sidecar.Config)) *sidecar.Sidecar {
	t.Helper()
	a, err := p.CreateToken(t.Context(), operator.TokenRequest{Namespace: "shop", ServiceAccount: account, Services: services})
	if err != nil {
		t.Fatal(err)
	}
	cfg := sidecar.Config{
		Join: a.JoinFile, Address: netip.MustParseAddr("127.0.0.1"), InboundPort: free(t), AdminPort: free(t),
		Name: account + "-1", LogLevel: "info", DrainTimeout: time.Second, Version: "1.2.3",
	}
	change(&cfg)
	s, err := sidecar.New(cfg, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

// free begins at firstPort, which is another one in another run of the tests, and has
// looked at so many ports.
var (
	firstPort = rand.Uint32N(10000)
	looked    atomic.Uint32
)

// free gives a port that nobody has at any address, and not the same one again. It is
// below those that connections get by themselves, one of which may come between.
func free(t *testing.T) uint16 {
	t.Helper()
	for range 100 {
		port := uint16(20000 + (firstPort+looked.Add(1))%10000)
		if l, err := net.Listen("tcp", fmt.Sprintf(":%d", port)); err == nil {
			_ = l.Close()
			return port
		}
	}
	t.Fatal("no port is free")
	return 0
}

// ceiling ends a wait that is in vain. No outcome may hang on how long it is.
const ceiling = time.Minute

// until polls for what comes by itself, with a loose ceiling.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(ceiling)
	for !ok() {
		select {
		case <-deadline:
			t.Fatalf("waited in vain: %s", what)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// TestWholeWay joins two workloads and sends a request from one to the other.
func TestWholeWay(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello "+r.Header.Get("Leno-Client-Id"))
	}))
	defer app.Close()
	target := app.Listener.Addr().(*net.TCPAddr).AddrPort()
	p := start(t, server.Config{})
	api := p.join(t, "api", []string{"api:80"}, func(c *sidecar.Config) {
		c.Services = []mesh.RegisteredPort{{Service: "api", Port: 80, Target: target}}
	})
	listen := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), free(t))
	web := p.join(t, "web", nil, func(c *sidecar.Config) {
		c.Upstreams = []proxy.Upstream{{Listen: listen, Target: mesh.Target{Host: "api", Port: 80}}}
	})
	until(t, "both proxies ready", func() bool { return api.Ready() == "" && web.Ready() == "" })

	body := get(t, "http://"+listen.String()+"/")
	if want := "hello spiffe://cluster.local/ns/shop/sa/web"; body != want {
		t.Fatalf("body %q, want %q", body, want)
	}
	until(t, "the edge in the store", func() bool {
		var page struct {
			Edges []struct {
				Src, Dst string
				Secured  bool
			}
		}
		if err := p.Get(t.Context(), "/leno/v1/edges?window=30s", &page); err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Edges {
			if e.Dst == "api" && e.Secured {
				return true
			}
		}
		get(t, "http://"+listen.String()+"/")
		return false
	})
	checkOperator(t, p)
}

func checkOperator(t *testing.T, p *plane) {
	t.Helper()
	ps, err := p.Proxies(t.Context())
	if err != nil || len(ps) != 2 || !ps[0].Connected || ps[0].RSSBytes == 0 {
		t.Errorf("proxies %+v, %v", ps, err)
	}
	es, err := p.Endpoints(t.Context(), "api", "shop")
	if err != nil || len(es) != 1 || !es[0].Meshed {
		t.Errorf("endpoints %+v, %v", es, err)
	}
	is, err := p.Identities(t.Context())
	if err != nil || len(is) != 3 || len(is[1].Chain) < 2 {
		t.Errorf("identities %+v, %v", is, err)
	}
	cs, err := p.Checks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cs {
		if c.Result != operator.SeverityOK {
			t.Errorf("check %+v", c)
		}
	}
}

func get(t *testing.T, url string) string {
	t.Helper()
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: ceiling}
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestTokenIsUsedOnce(t *testing.T) {
	p := start(t, server.Config{})
	a, err := p.CreateToken(t.Context(), operator.TokenRequest{Namespace: "shop", ServiceAccount: "web"})
	if err != nil {
		t.Fatal(err)
	}
	first := p.join(t, "web", nil, func(c *sidecar.Config) { c.Join = a.JoinFile })
	until(t, "the first is ready", func() bool { return first.Ready() == "" })
	second, err := sidecar.New(sidecar.Config{
		Join: a.JoinFile, Address: netip.MustParseAddr("127.0.0.1"), InboundPort: free(t), AdminPort: free(t),
		Name: "thief", LogLevel: "info",
	}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), ceiling)
	defer cancel()
	if err := second.Run(ctx); err == nil || !strings.Contains(err.Error(), "was used already") {
		t.Errorf("a second use of the token ended with: %v", err)
	}
}

func TestTokenNamesItsServices(t *testing.T) {
	p := start(t, server.Config{})
	a, err := p.CreateToken(t.Context(), operator.TokenRequest{Namespace: "shop", ServiceAccount: "web", Services: []string{"web:80"}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := sidecar.New(sidecar.Config{
		Join: a.JoinFile, Address: netip.MustParseAddr("127.0.0.1"), InboundPort: free(t), AdminPort: free(t), Name: "w", LogLevel: "info",
		Services: []mesh.RegisteredPort{{Service: "payments", Port: 80, Target: netip.MustParseAddrPort("127.0.0.1:1")}},
	}, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), ceiling)
	defer cancel()
	if err := s.Run(ctx); err == nil || !strings.Contains(err.Error(), "not in the join token") {
		t.Errorf("registering another service ended with: %v", err)
	}
}

func TestSocketIsTheOperatorsAlone(t *testing.T) {
	dir := t.TempDir()
	p := start(t, server.Config{DataDir: dir})
	st, err := os.Stat(filepath.Join(dir, "leno.sock"))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("socket %v, %v", st.Mode(), err)
	}
	if _, err := server.New(server.Config{DataDir: t.TempDir(), Listen: "127.0.0.1:0", Socket: filepath.Join(dir, "leno.sock")}); err == nil {
		t.Error("a second server took the socket of a running one")
	}
	p.stop()
	if _, err := os.Stat(filepath.Join(dir, "leno.sock")); !os.IsNotExist(err) {
		t.Errorf("the socket stayed behind: %v", err)
	}
}

// TestRevoked puts a workload out whose certificate is still good: it can
// neither come back nor push metrics.
func TestRevoked(t *testing.T) {
	p := start(t, server.Config{})
	web := p.join(t, "web", nil, func(*sidecar.Config) {})
	until(t, "the proxy ready", func() bool { return web.Ready() == "" })
	reporting := func() bool {
		var page struct{ Processes []struct{ Name string } }
		if err := p.Get(t.Context(), "/leno/v1/processes", &page); err != nil {
			t.Fatal(err)
		}
		return len(page.Processes) > 0
	}
	until(t, "its metrics in the store", reporting)
	ps, err := p.Proxies(t.Context())
	if err != nil || len(ps) != 1 {
		t.Fatalf("proxies %+v, %v", ps, err)
	}
	if err := p.RevokeWorkload(t.Context(), ps[0].Workload); err != nil {
		t.Fatal(err)
	}
	until(t, "the refusal of its next push or stream", func() bool {
		return strings.Contains(p.log.String(), "was revoked")
	})
	if reporting() {
		t.Error("a revoked workload still reports")
	}
	if ps, err := p.Proxies(t.Context()); err != nil || len(ps) != 0 {
		t.Errorf("proxies %+v, %v", ps, err)
	}
}
