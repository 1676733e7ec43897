package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/subscribe"
	"github.com/leno-mesh/leno/telemetry"
)

// proxy is a proxy as the control plane sees it: it gets a certificate of its
// own, holds a stream and pushes metrics. It carries no traffic.
type proxy struct {
	client  *subscribe.Client
	keeper  *identity.Keeper
	source  *identity.Source
	metrics *telemetry.Registry
	pusher  *telemetry.Pusher
	news    chan<- news
	up      chan<- struct{}
	began   bool // an inbound has come; owned by the client's deliveries
}

// news is a destination that a proxy got.
type news struct {
	from      *proxy
	host      string
	endpoints int
}

// newProxy makes the proxy of a pod. What is mounted into the pod, it finds in
// a directory.
func (b *bench) newProxy(n int, anchor []byte) (*proxy, error) {
	dir := filepath.Join(b.dir, "pods", uid(n))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{
		"bundle.pem": string(anchor), "server": b.at, "trust-domain": string(trustDomain), "token": strconv.Itoa(n),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	p := &proxy{source: identity.NewSource(), news: b.news, up: b.up}
	p.metrics = telemetry.NewRegistry(telemetry.Config{Version: "scale"})
	certificate := p.metrics.Certificate()
	servers := []string{b.at}
	var err error
	if p.keeper, err = identity.NewKeeper(identity.KeeperConfig{
		Source: p.source, Mounted: &identity.Mounted{Dir: dir}, ALPN: []string{"h2"},
		Issue: func(ctx context.Context, r identity.Request) (identity.Answer, error) {
			a, err := subscribe.Authority{Servers: servers}.Issue(ctx, r)
			certificate.Renewed(time.Now()) // when it ends makes no difference here
			return a, err
		},
	}); err != nil {
		return nil, err
	}
	p.client = subscribe.New(subscribe.Config{
		Servers: servers, Handler: p, Version: "scale", Log: slog.New(b.lost),
		TLS: func() *tls.Config {
			return p.source.ClientTLS(identity.Expect{Identity: identity.ServerIdentity(trustDomain)}, "h2")
		},
	})
	p.pusher = telemetry.NewPusher(telemetry.PusherConfig{Registry: p.metrics, Push: p.client.Push})
	return p, nil
}

func (p *proxy) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return p.keeper.Run(ctx) })
	group.Go(func() error {
		select {
		case <-p.source.Ready():
			group.Go(func() error {
				_ = p.pusher.Run(ctx) // the end of ctx
				return nil
			})
			return p.client.Run(ctx)
		case <-ctx.Done():
			return nil
		}
	})
	return group.Wait()
}

// Inbound says once that the proxy could serve now.
func (p *proxy) Inbound(*mesh.Inbound) error {
	if !p.began {
		p.began = true
		p.up <- struct{}{}
	}
	return nil
}

// Destination passes on what came.
func (p *proxy) Destination(d *mesh.Destination) error {
	n := 0
	for _, s := range d.Sets {
		n += len(s.Endpoints)
	}
	p.news <- news{p, d.Target.Host, n}
	return nil
}

// Bundle takes the trust anchors of now.
func (p *proxy) Bundle(b mesh.Bundle) error { return p.source.SetBundle(b) }
