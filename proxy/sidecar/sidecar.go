package sidecar

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"runtime/debug"

	"golang.org/x/sync/errgroup"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/admin"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/limits"
	"github.com/leno-mesh/leno/proxy/subscribe"
	"github.com/leno-mesh/leno/telemetry"
)

// alpn is what is spoken with the control plane.
const alpn = "h2"

// Sidecar is one proxy process, put together and not yet running.
type Sidecar struct {
	cfg     Config
	log     *slog.Logger
	level   *slog.LevelVar
	source  *identity.Source
	state   *identity.State
	metrics *telemetry.Registry
	proxy   *proxy.Proxy
	keeper  *identity.Keeper
	sub     *subscribe.Client
	pusher  *telemetry.Pusher
	admin   *admin.Server
	limits  limits.Limits
	app     *application
}

// New opens every listener and the state directory. Then, when it was started
// as root, it becomes an ordinary user for good.
func New(cfg Config, logTo io.Writer) (*Sidecar, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	s := &Sidecar{cfg: cfg, level: &slog.LevelVar{}, source: identity.NewSource()}
	if err := s.level.UnmarshalText([]byte(cfg.LogLevel)); err != nil {
		return nil, fmt.Errorf("log level: %w; want debug, info, warn or error", err)
	}
	s.log = slog.New(slog.NewTextHandler(logTo, &slog.HandlerOptions{Level: s.level}))
	var err error
	if s.limits, err = limits.For(cfg.MemoryLimit, cfg.Limits); err != nil {
		return nil, err
	}
	s.metrics = telemetry.NewRegistry(telemetry.Config{Version: cfg.Version, Stage: stageOf, MaxSeries: s.limits.Series})
	debug.SetMemoryLimit(s.limits.Heap)
	for _, step := range []func() error{s.buildProxy, s.buildAdmin, s.becomeUser, s.buildControl} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	if !cfg.QuietStart {
		logLimits(logTo, &s.limits)
	}
	return s, nil
}

// logLimits writes one line with the memory limit and every cap that follows
// from it, whatever the level of the log is: who looks for the reason of
// refusals later must find them.
func logLimits(to io.Writer, l *limits.Limits) {
	args := []any{"memory", l.Memory, "from", l.From, "heap", l.Heap}
	for _, row := range limits.Table() {
		if row.Computed {
			args = append(args, row.Name, l.Value(row))
		}
	}
	slog.New(slog.NewTextHandler(to, nil)).Info("limits", args...)
}

func stageOf(code string) string { return flow.ParseReason(code).Row().Stage.String() }

// buildProxy opens the data plane's listeners.
func (s *Sidecar) buildProxy() (err error) {
	l := &s.limits
	s.proxy, err = proxy.New(proxy.Config{
		Inbound: netip.AddrPortFrom(s.cfg.Address, s.cfg.InboundPort),
		Addrs:   s.cfg.Addresses, Outbound: s.cfg.Outbound, Redirected: s.cfg.Redirected, Upstreams: s.cfg.Upstreams,
		OwnPorts: []uint16{s.cfg.AdminPort}, ClientUID: s.cfg.ClientUID,
		Identity: s.source, Metrics: s.metrics, Log: s.log,
		Link: l.Link(), Software: s.cfg.Version, Limits: l.HTTP1(), DrainTimeout: s.cfg.DrainTimeout,
		MaxConns: l.Connections, MaxHandshakes: l.Handshakes, MaxDestinations: l.Destinations,
		Times: l.Times(), MaxAwaiting: l.Awaiting, MaxStrangers: l.Strangers, MaxTold: l.Told, Tries: l.Tries(),
		AppConns: l.AppConns, AppQueue: l.AppQueue,
		PeerLinks: l.PeerLinks, PeerStreams: l.PeerStreams, ClientStreams: l.ClientStreams,
		WideBuffers: int64(l.WideBuffers), MaxUnsent: l.Unsent, IdleConns: l.IdleConns, AppIdle: l.AppIdle, AppIdleLong: l.AppIdleLong,
		Watch:   func(t mesh.Target) { s.sub.Watch(t) },
		Unwatch: func(t mesh.Target) { s.sub.Unwatch(t) },
	})
	return err
}

func (s *Sidecar) buildAdmin() (err error) {
	s.admin, err = admin.New(admin.Config{
		Listen: netip.AddrPortFrom(s.adminAddr(), s.cfg.AdminPort),
		Ready:  s.Ready, Reach: s.proxy.Reach, Metrics: s.metrics.WriteText, Level: s.level,
		Snapshot: func() any { return s.believes() },
		MaxConns: s.limits.AdminConns, MaxProbes: s.limits.AdminProbes,
		Limits: func() any { return limitsPage{s.limits, s.proxy.Spent()} },
	})
	return err
}

// adminAddr is the workload's address; in a pod every one, since a port-forward
// comes by loopback and nobody else is there.
func (s *Sidecar) adminAddr() netip.Addr {
	if s.cfg.Mounted != nil {
		return netip.IPv6Unspecified()
	}
	return s.cfg.Address
}

// buildControl makes what talks with the control plane.
func (s *Sidecar) buildControl() (err error) {
	var servers []string
	if s.cfg.StateDir != "" {
		if s.state, err = identity.OpenState(s.cfg.StateDir); err != nil {
			return err
		}
	}
	if servers, err = s.servers(); err != nil {
		return err
	}
	authority := subscribe.Authority{Servers: servers}
	renewals := s.metrics.Certificate()
	s.keeper, err = identity.NewKeeper(identity.KeeperConfig{
		Source: s.source, Join: s.cfg.Join, Mounted: s.cfg.Mounted, Lifetime: s.cfg.CertificateLifetime, State: s.state, ALPN: []string{alpn}, Log: s.log,
		Registration: s.cfg.registration(),
		Issue: func(ctx context.Context, r identity.Request) (identity.Answer, error) {
			a, err := authority.Issue(ctx, r)
			if err == nil {
				renewals.Renewed(notAfter(a))
			}
			return a, err
		},
	})
	if err != nil {
		return err
	}
	s.app = newApplication(s.cfg.registration(), s.log)
	s.sub = subscribe.New(subscribe.Config{
		Servers: servers, Handler: s.proxy, Registration: s.app.offers,
		Version: s.cfg.Version, Usage: s.usage, StateDir: s.cfg.StateDir, Log: s.log,
		TLS: func() *tls.Config { return s.source.ClientTLS(s.serverExpected(), alpn) },
	})
	if s.cfg.StateDir != "" {
		if err := s.sub.Restore(); err != nil && s.cfg.Mounted == nil {
			return err
		} else if err != nil {
			s.log.Error("the last snapshots are not used, the control plane sends them again", "error", err)
		}
	}
	s.pusher = telemetry.NewPusher(telemetry.PusherConfig{Registry: s.metrics, Push: s.sub.Push, Logger: s.log})
	return nil
}

// limitsPage is what /debug/limits shows.
type limitsPage struct {
	Limits limits.Limits
	Spent  proxy.Spent
}

// serverExpected is who the control plane must prove to be. It is asked for
// only once there is a bundle.
func (s *Sidecar) serverExpected() identity.Expect {
	return identity.Expect{Identity: identity.ServerIdentity(s.source.Bundle().TrustDomain)}
}

// Run runs everything until ctx ends, then drains: the subscription says so
// first, so that peers stop coming.
func (s *Sidecar) Run(ctx context.Context) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	group, gctx := errgroup.WithContext(life)
	// The subscription ends last: until then the control plane knows who
	// pushes, and hears that the workload is leaving.
	subscribed, leave := context.WithCancel(context.WithoutCancel(ctx))
	defer leave()
	group.Go(func() error { return s.admin.Run(gctx) })
	group.Go(func() error { return ignoreCanceled(s.keeper.Run(gctx)) })
	group.Go(func() error {
		select {
		case <-s.source.Ready():
			return ignoreCanceled(s.sub.Run(subscribed))
		case <-gctx.Done():
			return nil
		}
	})
	group.Go(func() error {
		defer leave()
		return s.push(gctx)
	})
	group.Go(func() error { return s.giveBack(gctx) })
	group.Go(func() error { s.app.await(gctx, s.sub.Register); return nil })
	group.Go(func() error {
		defer end()
		serving, stop := context.WithCancel(gctx)
		defer stop()
		unhook := context.AfterFunc(ctx, func() {
			s.log.Info("draining")
			s.sub.Drain()
			stop()
		})
		defer unhook()
		return s.proxy.Run(serving)
	})
	err := group.Wait()
	if s.state != nil {
		err = errors.Join(err, s.state.Close())
	}
	return err
}

// push pushes metrics once the control plane has put this workload in its
// books: before that it does not know under which name to keep them.
func (s *Sidecar) push(ctx context.Context) error {
	for _, there := range []<-chan struct{}{s.source.Ready(), s.proxy.Ready()} {
		select {
		case <-there:
		case <-ctx.Done():
			return nil
		}
	}
	return ignoreCanceled(s.pusher.Run(ctx))
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (s *Sidecar) usage() subscribe.Usage {
	u := subscribe.Usage{}
	u.RSS, u.CPU = telemetry.Usage()
	if v := s.source.SVID(); v != nil {
		u.CertificateUntil = v.Expires()
	}
	return u
}

// page is what /debug/snapshot shows.
type page struct {
	Subscription subscribe.Status
	Identity     mesh.Identity
	proxy.Believes
}

func (s *Sidecar) believes() page {
	p := page{Subscription: s.sub.Status(), Believes: s.proxy.Snapshot()}
	if v := s.source.SVID(); v != nil {
		p.Identity = v.ID
	}
	return p
}

var _ subscribe.Handler = (*proxy.Proxy)(nil)

// LogLevelDefault is quiet: what an operator must know, and no more.
const LogLevelDefault = "warn"

func isRoot() bool { return os.Geteuid() == 0 }
