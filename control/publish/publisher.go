package publish

import (
	"context"
	"hash/maphash"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"connectrpc.com/connect"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
	"github.com/leno-mesh/leno/wire/gen/genconnect"
)

// Config says what to publish and whom to tell about proxies.
type Config struct {
	Catalog *catalog.Catalog
	// Connected is called when a proxy has said hello, before anything is sent
	// to it. An error refuses the stream; the proxy is told its text. Nil:
	// everybody is welcome. The registration may be nil.
	Connected func(Peer, *mesh.Registration) error
	// Disconnected is called when the last stream of a workload has ended.
	Disconnected func(mesh.WorkloadID)
	// Registered is called when a proxy says anew what its workload offers. An
	// error ends the stream.
	Registered func(Peer, *mesh.Registration) error
	// Draining is called once when a workload says that it takes nothing new.
	Draining func(mesh.WorkloadID)
	// Heartbeat is the time between two comparisons with a proxy. Default 15 s.
	Heartbeat time.Duration
	Log       *slog.Logger
}

// stopGrace is how long streams may take to say goodbye.
const stopGrace = 2 * time.Second

// Publisher serves the Discovery service.
type Publisher struct {
	cfg     Config
	answers answers
	bundle  atomic.Pointer[encoded]
	version atomic.Pointer[mesh.Version] // nil until every door has synced
	stop    chan struct{}                // closed when Run ends
	streams sync.WaitGroup
	// lanes order Connected and Disconnected of one workload.
	lanes [64]sync.Mutex
	seed  maphash.Seed

	mu       sync.Mutex // guards sessions and stopped
	sessions map[mesh.WorkloadID]*session
	stopped  bool
}

// encoded is a resource's body with its hash.
type encoded struct {
	body []byte
	hash uint64
}

// New makes a publisher. Streams are accepted at once and hear something when
// Run has seen every door of the catalog sync.
func New(cfg Config) *Publisher {
	if cfg.Heartbeat == 0 {
		cfg.Heartbeat = 15 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Connected == nil {
		cfg.Connected = func(Peer, *mesh.Registration) error { return nil }
	}
	if cfg.Disconnected == nil {
		cfg.Disconnected = func(mesh.WorkloadID) {}
	}
	if cfg.Registered == nil {
		cfg.Registered = func(Peer, *mesh.Registration) error { return nil }
	}
	if cfg.Draining == nil {
		cfg.Draining = func(mesh.WorkloadID) {}
	}
	return &Publisher{
		cfg:      cfg,
		answers:  newAnswers(cfg.Catalog.View),
		stop:     make(chan struct{}),
		seed:     maphash.MakeSeed(),
		sessions: make(map[mesh.WorkloadID]*session),
	}
}

// Handler gives the path and the handler of the Discovery service. It needs
// Authenticate in front.
func (p *Publisher) Handler() (path string, h http.Handler) {
	path, inner := genconnect.NewDiscoveryHandler(service{p}, connect.WithReadMaxBytes(wire.MaxMessage))
	return path, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), controllerKey{}, http.NewResponseController(w))
		inner.ServeHTTP(w, r.WithContext(ctx))
	})
}

// Run follows the catalog until ctx ends. Then every stream says goodbye, and
// those that take too long are cut.
func (p *Publisher) Run(ctx context.Context) error {
	defer p.shutdown()
	select {
	case <-ctx.Done():
		return nil
	case <-p.cfg.Catalog.Synced():
	}
	w := p.cfg.Catalog.Watch()
	defer w.Close()
	for {
		t, err := w.Next(ctx)
		if err != nil {
			return nil // the end of ctx is the way to stop
		}
		first := p.version.Load() == nil
		wake := p.answers.touch(t)
		// After the answers were marked: a stream that sees this version also
		// sees what is stale since.
		p.version.Store(&t.Version)
		if first {
			p.wakeAll()
			continue
		}
		for s := range wake {
			s.wakeUp()
		}
	}
}

// SetBundle makes the trust anchors travel to every proxy.
func (p *Publisher) SetBundle(b mesh.Bundle) error {
	body, err := wire.EncodeBundle(b)
	if err != nil {
		return err
	}
	p.bundle.Store(&encoded{body, wire.Hash(body)})
	p.wakeAll()
	return nil
}

// BundleHash is what a proxy's status shows once it uses the bundle of now.
func (p *Publisher) BundleHash() uint64 {
	if b := p.bundle.Load(); b != nil {
		return b.hash
	}
	return 0
}

func (p *Publisher) wakeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sessions {
		s.wakeUp()
	}
}

func (p *Publisher) shutdown() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	close(p.stop)
	done := make(chan struct{})
	go func() {
		p.streams.Wait()
		close(done)
	}()
	cut := time.AfterFunc(stopGrace, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, s := range p.sessions {
			s.cut()
		}
	})
	defer cut.Stop()
	<-done
}

// service keeps the generated method off the Publisher.
type service struct{ p *Publisher }

func (s service) Stream(ctx context.Context, b *connect.BidiStream[gen.ProxyMessage, gen.ServerMessage]) error {
	return s.p.serve(ctx, b)
}
