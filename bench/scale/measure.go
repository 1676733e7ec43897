package main

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/leno-mesh/leno/cli/child"
	"github.com/leno-mesh/leno/mesh"
)

// patience bounds every wait for something that has to come.
const patience = 2 * time.Minute

// bench is one run.
type bench struct {
	options
	dir    string
	api    *api
	server *child.Process
	at     string          // where it listens
	group  *errgroup.Group // of the proxies
	ready  time.Time       // when all of them had a stream
	up     chan struct{}
	news   chan news
	all    []*proxy
	lost   *lost
	found  results
}

func measure(ctx context.Context, o options) error {
	dir, err := os.MkdirTemp("", "leno-scale-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{options: o, dir: dir, api: newAPI(o.resources()), lost: newLost()}
	b.up, b.news = make(chan struct{}, o.pods()), make(chan news, 4*o.pods()*o.destinations)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	kubernetes := &http.Server{Handler: b.api, ReadHeaderTimeout: patience}
	served := make(chan error, 1)
	go func() { served <- kubernetes.Serve(l) }()
	defer func() {
		_ = kubernetes.Close()
		<-served
	}()
	family := child.NewFamily()
	defer family.Close()
	anchor, err := b.start(ctx, family, l.Addr().String())
	if err != nil {
		return err
	}
	defer child.Stop(10*time.Second, b.server)
	return b.run(ctx, anchor)
}

// run starts the proxies and goes through the phases.
func (b *bench) run(ctx context.Context, anchor []byte) error {
	ctx, stop := context.WithCancel(ctx)
	group, gctx := errgroup.WithContext(ctx)
	b.group = group
	err := b.proxies(gctx, anchor)
	for _, phase := range []func(context.Context) error{b.idle, b.subscribed, b.loaded, b.changed} {
		if err == nil {
			err = phase(gctx)
		}
	}
	stop()
	b.lost.list(os.Stdout)
	err = errors.Join(err, group.Wait())
	if err != nil {
		return err
	}
	b.found.judge()
	b.found.show(os.Stdout)
	return b.found.write(b.out)
}

// start starts the control plane, and gives its trust anchor.
func (b *bench) start(ctx context.Context, family *child.Family, kubernetes string) ([]byte, error) {
	config := filepath.Join(b.dir, "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion":"v1","kind":"Config","current-context":"x","contexts":[{"name":"x","context":{"cluster":"x","user":"x"}}],`+
		`"clusters":[{"name":"x","cluster":{"server":"http://%s"}}],"users":[{"name":"x","user":{}}]}`, kubernetes)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	data := filepath.Join(b.dir, "data")
	b.server, err = family.Start(child.Spec{
		Name: "control plane", Path: self, Stderr: os.Stderr, Args: []string{
			"-serve", data, "-kubeconfig", config,
			"-namespaces", fmt.Sprint(b.namespaces), "-services", fmt.Sprint(b.services),
		},
	})
	if err != nil {
		return nil, err
	}
	return b.anchor(ctx, data)
}

// anchor waits until the control plane has made its authority and listens.
func (b *bench) anchor(ctx context.Context, data string) ([]byte, error) {
	for {
		at, err := os.ReadFile(filepath.Join(data, addressFile))
		if err == nil {
			b.at = string(at)
			break
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-b.server.Done():
			return nil, fmt.Errorf("the control plane ended: %s", b.server.End())
		case <-time.After(50 * time.Millisecond):
		}
	}
	path := filepath.Join(data, "ca", "anchor.pem")
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for p, rest := pem.Decode(text); p != nil; p, rest = pem.Decode(rest) {
		if p.Type == "CERTIFICATE" {
			return pem.EncodeToMemory(p), nil
		}
	}
	return nil, fmt.Errorf("%s has no certificate", path)
}

// proxies starts them all and waits until each has its inbound.
func (b *bench) proxies(ctx context.Context, anchor []byte) error {
	began := time.Now()
	for n := range b.pods() {
		p, err := b.newProxy(n, anchor)
		if err != nil {
			return err
		}
		b.all = append(b.all, p)
		b.group.Go(func() error { return p.run(ctx) })
	}
	if err := await(ctx, b.up, b.pods(), func(struct{}) bool { return true }); err != nil {
		return fmt.Errorf("proxies that have a certificate and a stream: %w", err)
	}
	b.ready = time.Now()
	b.found.Proxies, b.found.StartSeconds = b.pods(), b.ready.Sub(began).Seconds()
	return nil
}

// idle watches the control plane while the proxies only hold their streams.
func (b *bench) idle(ctx context.Context) (err error) {
	if err := pause(ctx, b.settle); err != nil { // for what the start left behind
		return err
	}
	b.found.IdleCores, err = b.cores(func() error { return pause(ctx, b.watch) })
	if err == nil {
		b.found.IdleMB, err = memory(b.server.PID())
	}
	return err
}

// subscribed has every proxy ask for its destinations: the first service, and
// those after its own.
func (b *bench) subscribed(ctx context.Context) error {
	for n, p := range b.all {
		for service := range b.wanted(n) {
			p.client.Watch(b.target(service))
		}
	}
	arrived := func(n news) bool { return n.endpoints == 1 }
	if err := await(ctx, b.news, b.pods()*b.destinations, b.first(arrived)); err != nil {
		return fmt.Errorf("destinations that arrived: %w%s", err, b.absent())
	}
	b.found.Destinations = b.destinations
	return nil
}

// wanted are the services that a proxy calls.
func (b *bench) wanted(n int) map[int]bool {
	all := map[int]bool{0: true}
	for next := n + 1; len(all) < b.destinations; next++ {
		all[next%b.pods()] = true
	}
	return all
}

func (b *bench) target(service int) mesh.Target {
	return mesh.Target{Host: b.host(service), Port: port}
}

// loaded begins the traffic and lets the control plane take the first reports
// of it.
func (b *bench) loaded(ctx context.Context) error {
	b.group.Go(func() error { return b.traffic(ctx) })
	return pause(ctx, b.settle)
}

func (b *bench) host(service int) string {
	namespace, name := b.name(service)
	return name + "." + namespace + ".svc.cluster.local"
}

// changed adds an endpoint to the first service and takes it away again, and
// takes the time until the last proxy has heard of it.
func (b *bench) changed(ctx context.Context) error {
	var times []float64
	cores, err := b.cores(func() error {
		for i := range b.changes {
			pods := []int{0, 1}[:2-i%2]
			began := time.Now()
			if err := b.api.change(b.slice(0, pods...)); err != nil {
				return err
			}
			heard := func(n news) bool { return n.host == b.host(0) && n.endpoints == len(pods) }
			if err := await(ctx, b.news, b.pods(), b.first(heard)); err != nil {
				return fmt.Errorf("proxies that heard of change %d: %w%s", i+1, err, b.absent())
			}
			times = append(times, time.Since(began).Seconds()*1000)
			if err := pause(ctx, time.Second-time.Since(began)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	slices.Sort(times)
	b.found.Changes, b.found.BusyCores = b.changes, cores
	for _, p := range b.all {
		if st := p.client.Status(); !st.Connected || st.Since.After(b.ready) {
			b.found.Reconnected++
		}
	}
	b.found.ChangeP50, b.found.ChangeP99 = times[len(times)/2], times[len(times)*99/100]
	b.found.BusyMB, err = memory(b.server.PID())
	return err
}

// first counts what fits once for each proxy and destination: a proxy that
// lost its stream is told again.
func (b *bench) first(fits func(news) bool) func(news) bool {
	seen := make(map[news]bool)
	return func(n news) bool {
		if !fits(n) || seen[n] {
			return false
		}
		seen[n] = true
		return true
	}
}

// absent names a proxy that has no stream, and why.
func (b *bench) absent() string {
	for n, p := range b.all {
		if st := p.client.Status(); !st.Connected {
			return fmt.Sprintf("; proxy %d has had no stream since %s: %v", n, st.Since.Format(time.TimeOnly), st.LastError)
		}
	}
	return ""
}

// await takes from a channel until so many values fit.
func await[T any](ctx context.Context, from <-chan T, want int, fits func(T) bool) error {
	late := time.NewTimer(patience)
	defer late.Stop()
	for got := 0; got < want; {
		select {
		case v := <-from:
			if fits(v) {
				got++
			}
		case <-late.C:
			return fmt.Errorf("%d of %d after %s", got, want, patience)
		case <-ctx.Done():
			return fmt.Errorf("%d of %d: %w", got, want, ctx.Err())
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
