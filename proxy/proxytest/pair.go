// Package proxytest gives tests a client's proxy and a server's proxy that are
// joined by links and told by hand what a control plane would tell them.
package proxytest

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leno-mesh/leno/identity/identitytest"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/telemetry"
)

// testGrace is long enough for a client on a busy machine: a test that is not
// about servers that speak first must not meet the early way by chance.
const testGrace = 300 * time.Millisecond

// TrustDomain is that of every pair.
const TrustDomain = mesh.TrustDomain("test.leno")

// Service is the service of every pair: app.shop, port 80.
var Service = mesh.ServiceName{Namespace: "shop", Name: "app"}

// Pair is two proxies. Clients reach the application through Upstream, or
// through Outbound with the authority app.shop.
type Pair struct {
	Upstream netip.AddrPort
	Outbound netip.AddrPort
	Client   *proxy.Proxy
	Server   *Server

	ClientMetrics *telemetry.Registry
	// Asked is closed when the client's proxy has its first answer about a
	// destination.
	Asked chan struct{}
	CA    *identitytest.CA

	mu      sync.Mutex
	servers []*Server // guarded by mu
	stop    func()    // ends the client's proxy
	tune    func(*mesh.Destination)
	targets map[mesh.Target]bool
	asked   sync.Once
}

// Server is one instance of the service with its proxy.
type Server struct {
	Proxy    *proxy.Proxy
	Endpoint mesh.Endpoint
	Inbound  *mesh.Inbound
	Metrics  *telemetry.Registry
	stop     func()
}

// Config says what a pair is to be like.
type Config struct {
	// Apps are the addresses of the application's instances.
	Apps []netip.AddrPort
	// Tune changes the destination before the client's proxy gets it.
	Tune func(*mesh.Destination)
	// Access is the policy on the application's port.
	Access mesh.Access
	Log    *slog.Logger
	// Limit changes what the proxies may spend; nil leaves the defaults.
	Limit func(*proxy.Config)
}

// New starts a pair; it ends with the test.
func New(t testing.TB, cfg Config) *Pair {
	t.Helper()
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	p := &Pair{CA: identitytest.NewCA(t, TrustDomain), tune: cfg.Tune, targets: map[mesh.Target]bool{}, Asked: make(chan struct{})}
	p.ClientMetrics = telemetry.NewRegistry(telemetry.Config{})
	for i, app := range cfg.Apps {
		p.servers = append(p.servers, p.startServer(t, cfg, i, app))
	}
	p.Server = p.servers[0]
	p.startClient(t, cfg)
	return p
}

func (p *Pair) startServer(t testing.TB, cfg Config, i int, app netip.AddrPort) *Server {
	t.Helper()
	s := &Server{Metrics: telemetry.NewRegistry(telemetry.Config{})}
	id := mesh.NewIdentity(TrustDomain, Service.Namespace, Service.Name)
	w := mesh.WorkloadID("server-" + string(rune('a'+i)))
	at := Free(t)
	s.Inbound = &mesh.Inbound{
		Workload: w, Identity: id, Name: string(w), Namespace: Service.Namespace, ClusterDomain: "cluster.local",
		Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
		Ports:    []mesh.Port{{Number: app.Port(), Target: app, Services: []mesh.ServiceName{Service}, Access: cfg.Access}},
	}
	s.Endpoint = mesh.Endpoint{Addr: app, Proxy: at, Identity: id, Workload: w, Name: string(w)}
	config := proxy.Config{
		Inbound: at, Identity: p.CA.Source(t, id, w), Metrics: s.Metrics, Log: cfg.Log.With("proxy", string(w)),
		Watch: func(mesh.Target) {}, Unwatch: func(mesh.Target) {}, Grace: testGrace, DrainTimeout: 5 * time.Second,
		Times: unhurried(),
	}
	if cfg.Limit != nil {
		cfg.Limit(&config)
	}
	var err error
	s.Proxy, err = proxy.New(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Proxy.Inbound(s.Inbound); err != nil {
		t.Fatal(err)
	}
	s.stop = run(t, s.Proxy)
	return s
}

func (p *Pair) startClient(t testing.TB, cfg Config) {
	t.Helper()
	id := mesh.NewIdentity(TrustDomain, Service.Namespace, "client")
	p.Upstream, p.Outbound = Free(t), Free(t)
	config := proxy.Config{
		Inbound: Free(t), Outbound: []netip.AddrPort{p.Outbound},
		Upstreams: []proxy.Upstream{{Listen: p.Upstream, Target: mesh.Target{Host: "app.shop", Port: 80}}},
		Identity:  p.CA.Source(t, id, "client"), Metrics: p.ClientMetrics, Log: cfg.Log.With("proxy", "client"),
		Watch: p.answer, Unwatch: func(mesh.Target) {}, Grace: testGrace, DrainTimeout: time.Second,
		Times: unhurried(),
	}
	if cfg.Limit != nil {
		cfg.Limit(&config)
	}
	var err error
	p.Client, err = proxy.New(config)
	if err != nil {
		t.Fatal(err)
	}
	own := &mesh.Inbound{
		Workload: "client", Identity: id, Namespace: Service.Namespace, ClusterDomain: "cluster.local",
		Networks: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
	}
	if err := p.Client.Inbound(own); err != nil {
		t.Fatal(err)
	}
	p.stop = run(t, p.Client)
}

// unhurried has a machine that is busy with other tests not look like a peer that is
// down.
func unhurried() proxy.Times {
	return proxy.Times{Connect: time.Minute, Handshake: time.Minute, AppConnect: time.Minute}
}

// answer plays the control plane for one target.
func (p *Pair) answer(t mesh.Target) {
	go func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.targets[t] = true
		_ = p.Client.Destination(p.destination(t))
		p.asked.Do(func() { close(p.Asked) })
	}()
}

func (p *Pair) destination(t mesh.Target) *mesh.Destination {
	d := &mesh.Destination{Target: t, Default: -1}
	if t.Host == "app.shop" || t.Host == "app" {
		d.Kind, d.Service, d.Port, d.Default = mesh.DestinationService, Service, t.Port, 0
		set := mesh.EndpointSet{Service: Service, Port: t.Port}
		for _, s := range p.servers {
			set.Endpoints = append(set.Endpoints, s.Endpoint)
		}
		d.Sets = []mesh.EndpointSet{set}
	}
	if p.tune != nil {
		p.tune(d)
	}
	return d
}

// Retune gives the client's proxy what it knows once more, changed by tune.
func (p *Pair) Retune(t testing.TB, tune func(*mesh.Destination)) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tune = tune
	for target := range p.targets {
		if err := p.Client.Destination(p.destination(target)); err != nil {
			t.Fatal(err)
		}
	}
}

// Servers are all instances of the service.
func (p *Pair) Servers() []*Server { return p.servers }

// Stop stops the server's proxy i as SIGTERM does.
func (p *Pair) Stop(i int) { p.servers[i].stop() }

// StopClient stops the client's proxy as SIGTERM does.
func (p *Pair) StopClient() { p.stop() }

// free counts the addresses that were given out.
var free atomic.Uint32

// Free gives a loopback address that nobody else uses, with a port. It is not
// 127.0.0.1, where the kernel may give the port to a connection meanwhile.
func Free(t testing.TB) netip.AddrPort {
	t.Helper()
	n := free.Add(1)
	a := netip.AddrFrom4([4]byte{127, byte(128 + os.Getpid()%100), byte(n / 250), byte(1 + n%250)})
	l, err := net.Listen("tcp", netip.AddrPortFrom(a, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func run(t testing.TB, p *proxy.Proxy) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- p.Run(ctx) }()
	var once sync.Once
	stop = func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Errorf("proxy: %v", err)
			}
		})
	}
	t.Cleanup(stop)
	return stop
}
