package publish

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/subscribe"
	"github.com/leno-mesh/leno/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const door = "test"

// world is a catalog, a publisher and a server in memory.
type world struct {
	t       *testing.T
	catalog *catalog.Catalog
	pub     *Publisher
	server  *wiretest.Server
	life    time.Duration // of the proxies' certificates
	stop    func()
}

// newWorld starts everything; the catalog has not synced yet. change may
// alter the configuration.
func newWorld(t *testing.T, epoch uint64, change func(*Config)) *world {
	w := &world{t: t, life: 24 * time.Hour}
	w.catalog = catalog.New(catalog.Config{Doors: []string{door}, Start: mesh.Version{Epoch: epoch}})
	cfg := Config{Catalog: w.catalog}
	if change != nil {
		change(&cfg)
	}
	w.pub = New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = w.catalog.Run(ctx) })
	wg.Go(func() { _ = w.pub.Run(ctx) })
	_, h := w.pub.Handler()
	w.server = wiretest.Serve(t, http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(rw, r.WithContext(WithPeer(r.Context(), w.peer(r.RemoteAddr))))
	}))
	w.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
		w.server.Stop()
	})
	t.Cleanup(w.stop)
	return w
}

// beat is the longest time between two heartbeats.
func (w *world) beat() time.Duration { return w.pub.cfg.Heartbeat * 5 / 4 }

func (w *world) peer(name string) Peer {
	return Peer{
		Identity: mesh.NewIdentity("mesh", "shop", name), Workload: mesh.WorkloadID(name),
		NotAfter: time.Now().Add(w.life), Addr: name,
	}
}

func (w *world) apply(changes ...catalog.Change) {
	w.t.Helper()
	if err := w.catalog.Apply(w.t.Context(), door, changes); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) sync() {
	w.t.Helper()
	if err := w.catalog.Sync(w.t.Context(), door); err != nil {
		w.t.Fatal(err)
	}
}

// workload is one instance of a service of the same name at port 80.
func workload(service string, n int) catalog.PutWorkload {
	addr := netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
	name := fmt.Sprintf("%s-%d", service, n)
	return catalog.PutWorkload{Workload: catalog.Workload{
		ID: mesh.WorkloadID(name), Identity: mesh.NewIdentity("mesh", "shop", service), Namespace: "shop", ServiceAccount: service,
		Registration: mesh.Registration{
			Name: name, Addr: addr, ProxyPort: 4143,
			Services: []mesh.RegisteredPort{{Service: service, Port: 80, Target: netip.AddrPortFrom(addr, 8080)}},
		},
	}}
}

// proxy records what its handler was given.
type proxy struct {
	*subscribe.Client
	stop func()

	mu           sync.Mutex
	inbound      *mesh.Inbound
	bundle       mesh.Bundle
	destinations map[mesh.Target]*mesh.Destination
	calls        int
	refuse       bool
}

var errRefusedHere = errors.New("not to my taste")

func (p *proxy) Inbound(in *mesh.Inbound) error {
	return p.take(func() { p.inbound = in })
}

func (p *proxy) Bundle(b mesh.Bundle) error {
	return p.take(func() { p.bundle = b })
}

func (p *proxy) Destination(d *mesh.Destination) error {
	return p.take(func() { p.destinations[d.Target] = d })
}

func (p *proxy) take(keep func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.calls++
	if p.refuse {
		return errRefusedHere
	}
	keep()
	return nil
}

// endpoints counts those of a destination's own set; -1 when nothing came.
func (p *proxy) endpoints(t mesh.Target) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.destinations[t]
	if d == nil {
		return -1
	}
	if d.Default < 0 {
		return 0
	}
	return len(d.Sets[d.Default].Endpoints)
}

func (p *proxy) called() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

// dialler is a network that can be pointed at another server.
type dialler struct {
	mu   sync.Mutex
	dial func(context.Context, string, string) (net.Conn, error)
}

func (d *dialler) set(dial func(context.Context, string, string) (net.Conn, error)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.dial = dial
}

func (d *dialler) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	d.mu.Lock()
	dial := d.dial
	d.mu.Unlock()
	return dial(ctx, network, addr)
}

// proxy starts one that subscribes as the workload of this name.
func (w *world) proxy(name string, change func(*subscribe.Config)) *proxy {
	p := &proxy{destinations: make(map[mesh.Target]*mesh.Destination)}
	cfg := subscribe.Config{Servers: []string{"server:4180"}, Handler: p, Version: "test", Dial: w.server.Dial(name, nil)}
	if change != nil {
		change(&cfg)
	}
	p.Client = subscribe.New(cfg)
	ctx, cancel := context.WithCancel(w.t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = p.Run(ctx) })
	p.stop = sync.OnceFunc(func() {
		cancel()
		wg.Wait()
	})
	w.t.Cleanup(p.stop)
	return p
}

func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}
