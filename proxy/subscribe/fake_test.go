package subscribe

import (
	"context"
	"net"
	"sync"
	"testing"

	"connectrpc.com/connect"
	"go.uber.org/goleak"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
	"github.com/leno-mesh/leno/wire/gen/genconnect"
	"github.com/leno-mesh/leno/wire/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a control plane that says what a test tells it to, and notes what
// it hears.
type fake struct {
	say    chan *gen.ServerMessage
	server *wiretest.Server

	mu    sync.Mutex
	heard []*gen.ProxyMessage
}

func newFake(t *testing.T) *fake {
	f := &fake{say: make(chan *gen.ServerMessage, 16)}
	_, h := genconnect.NewDiscoveryHandler(f)
	f.server = wiretest.Serve(t, h)
	return f
}

func (f *fake) Stream(ctx context.Context, s *connect.BidiStream[gen.ProxyMessage, gen.ServerMessage]) error {
	var reader sync.WaitGroup
	reader.Go(func() {
		for {
			m, err := s.Receive()
			if err != nil {
				return
			}
			f.mu.Lock()
			f.heard = append(f.heard, m)
			f.mu.Unlock()
		}
	})
	defer reader.Wait()
	if err := s.Send(&gen.ServerMessage{}); err != nil {
		return err
	}
	for {
		select {
		case m := <-f.say:
			if err := s.Send(m); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// take gives what was heard since the last time.
func (f *fake) take() []*gen.ProxyMessage {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := f.heard
	f.heard = nil
	return out
}

func (f *fake) snapshot(kind gen.Kind, key string, body []byte) {
	f.say <- &gen.ServerMessage{Message: &gen.ServerMessage_Snapshot{Snapshot: &gen.Snapshot{Kind: kind, Key: key, Body: body}}}
}

func (f *fake) delta(key string, base, next *wire.Set) {
	body, _ := next.Delta(base)
	f.say <- &gen.ServerMessage{Message: &gen.ServerMessage_Delta{Delta: &gen.SetDelta{
		Key: key, Base: base.Hash(), Hash: next.Hash(), Body: body,
	}}}
}

// recorder is a handler that keeps the last of everything.
type recorder struct {
	mu          sync.Mutex
	inbound     *mesh.Inbound
	bundle      *mesh.Bundle
	destination map[mesh.Target]*mesh.Destination
	refuse      func(*mesh.Destination) error
}

func newRecorder() *recorder { return &recorder{destination: make(map[mesh.Target]*mesh.Destination)} }

func (r *recorder) Inbound(in *mesh.Inbound) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inbound = in
	return nil
}

func (r *recorder) Bundle(b mesh.Bundle) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bundle = &b
	return nil
}

func (r *recorder) Destination(d *mesh.Destination) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.refuse != nil {
		if err := r.refuse(d); err != nil {
			return err
		}
	}
	r.destination[d.Target] = d
	return nil
}

func (r *recorder) get(t mesh.Target) *mesh.Destination {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.destination[t]
}

// start runs a client until the test ends or stop is called.
func start(t *testing.T, cfg Config) (c *Client, stop func()) {
	cfg.Servers = []string{"a:4180", "b:4180"}
	c = New(cfg)
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() { _ = c.Run(ctx) })
	stop = sync.OnceFunc(func() {
		cancel()
		run.Wait()
	})
	t.Cleanup(stop)
	return c, stop
}

func refused(context.Context, string, string) (net.Conn, error) { return nil, wiretest.ErrRefused }

// shop is a destination with one set, "web.shop:80".
func shop(t *testing.T, rule string) (mesh.Target, []byte) {
	t.Helper()
	service := mesh.ServiceName{Namespace: "shop", Name: "web"}
	d := &mesh.Destination{
		Target: mesh.Target{Host: "web", Port: 80}, Kind: mesh.DestinationService, Service: service, Port: 80,
		Route: mesh.Route{Rules: []mesh.Rule{{Name: rule}}}, Sets: []mesh.EndpointSet{{Service: service, Port: 80}},
	}
	body, _, err := wire.EncodeDestination(d)
	if err != nil {
		t.Fatal(err)
	}
	return d.Target, body
}

func set(t *testing.T, names ...string) *wire.Set {
	t.Helper()
	var es []mesh.Endpoint
	for _, n := range names {
		es = append(es, mesh.Endpoint{Name: n, Workload: mesh.WorkloadID(n)})
	}
	s, err := wire.EncodeSet(nil, es)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
