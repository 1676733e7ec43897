package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/user"
	"runtime"
	"strconv"
	"time"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/proxy/limits"
	"github.com/leno-mesh/leno/proxy/sidecar"
)

// proxyUID is the user that the proxy becomes when it is started as root.
const proxyUID = 2102

// list collects a flag that may be given several times.
type list []string

func (l *list) String() string     { return fmt.Sprint(*l) }
func (l *list) Set(s string) error { *l = append(*l, s); return nil }

type runFlags struct {
	join, state, address, app, name, zone, level, clients string
	mounted                                               string
	outbound, services, upstreams, limits                 list
	inboundPort, adminPort, conns, cores, uid             int
	memory                                                int64
	redirected, kubernetes, logLimits                     bool
	drain, lifetime                                       time.Duration
}

func run(ctx context.Context, args []string) error {
	var f runFlags
	if err := f.parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	cfg, err := f.config()
	if err != nil {
		return err
	}
	if f.cores > 0 {
		runtime.GOMAXPROCS(f.cores)
	}
	s, err := sidecar.New(cfg, os.Stderr)
	if err != nil {
		return err
	}
	return s.Run(ctx)
}

func (f *runFlags) parse(args []string) error {
	fs := flag.NewFlagSet("leno-proxy run", flag.ContinueOnError)
	fs.StringVar(&f.join, "join-file", "", "file from `leno token create`; needed the first time")
	fs.StringVar(&f.state, "state-dir", "", "directory for key, certificate and last snapshots (0700)")
	fs.StringVar(&f.address, "listen-address", "", "the workload's own `IP`: links and admin pages listen there")
	fs.StringVar(&f.app, "app-address", "", "`IP` at which the application listens, if not at --listen-address")
	fs.Var(&f.outbound, "outbound-listen", "`IP:PORT` for this workload's clients, or none; may be given again (default 127.0.0.1:4140)")
	fs.Var(&f.services, "service", "`NAME:PORT[:TARGET[:PROTOCOL]]` that the workload offers; may be given again")
	fs.Var(&f.upstreams, "upstream", "`NAME[:PORT]=IP:PORT`: a local port that leads to a service, for any protocol; may be given again")
	fs.IntVar(&f.inboundPort, "inbound-port", sidecar.InboundPort, "port for links")
	fs.IntVar(&f.adminPort, "admin-port", sidecar.AdminPort, "port for /live, /ready and /metrics")
	fs.StringVar(&f.name, "name", "", "name of this instance (default the host's name)")
	fs.StringVar(&f.zone, "zone", "", "zone in which it runs")
	fs.BoolVar(&f.kubernetes, "kubernetes", false, "run in a pod: the environment and mounted files say who this is and whom to ask")
	fs.StringVar(&f.mounted, "mounted", mountedDir, "with --kubernetes: directory with token, bundle.pem, server and trust-domain")
	fs.BoolVar(&f.redirected, "redirected", false, "traffic is captured by `leno-proxy init`: use original destinations")
	fs.StringVar(&f.clients, "client-user", "", "user (name or number) whose connections are taken besides root's (default the user that starts the proxy; \"any\" for everybody; not checked with --redirected)")
	fs.IntVar(&f.uid, "run-as", proxyUID, "user number to become when started as root; 0 stays root")
	fs.IntVar(&f.cores, "cores", 1, "cores to use at once; one costs the least for each request, 0 means all")
	fs.IntVar(&f.conns, "max-connections", 0, "connections at once of each side (default from the memory limit)")
	fs.Var(&f.limits, "limit", "`NAME=NUMBER`: sets one of the numbers in docs/limits.md; may be given again")
	fs.Int64Var(&f.memory, "memory-limit", 0, "bytes (default the control group's limit, 256 MiB at most)")
	fs.DurationVar(&f.lifetime, "certificate-lifetime", 0, "ask for certificates that live so long (default, and at most, what the control plane has)")
	fs.DurationVar(&f.drain, "drain-timeout", 30*time.Second, "how long to wait for requests under way on SIGTERM")
	fs.BoolVar(&f.logLimits, "log-limits", true, "log one line at start, whatever the level, with the memory limit and the numbers computed from it")
	fs.StringVar(&f.level, "log-level", sidecar.LogLevelDefault, "debug, info, warn or error")
	if err := fs.Parse(args); err != nil {
		return err
	}
	if fs.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q; options begin with --", fs.Arg(0))
	}
	return nil
}

func (f *runFlags) config() (cfg sidecar.Config, err error) {
	if f.kubernetes {
		if err := f.pod(); err != nil {
			return cfg, err
		}
	}
	cfg = sidecar.Config{
		StateDir: f.state, Name: f.name, Zone: f.zone, Redirected: f.redirected, RunAs: f.uid,
		Limits: map[string]int{}, MemoryLimit: f.memory, DrainTimeout: f.drain, CertificateLifetime: f.lifetime, LogLevel: f.level, Version: version,
		QuietStart: !f.logLimits,
	}
	if err := f.numbers(&cfg); err != nil {
		return cfg, err
	}
	if f.join != "" {
		if cfg.Join, err = identity.ReadJoinFile(f.join); err != nil {
			return cfg, err
		}
	}
	if cfg.Address, err = netip.ParseAddr(f.address); err != nil {
		return cfg, fmt.Errorf("--listen-address %q: want the workload's own IP address", f.address)
	}
	if cfg.InboundPort, err = portFlag("--inbound-port", f.inboundPort); err != nil {
		return cfg, err
	}
	if cfg.AdminPort, err = portFlag("--admin-port", f.adminPort); err != nil {
		return cfg, err
	}
	if f.kubernetes {
		if err := f.inPod(&cfg); err != nil {
			return cfg, err
		}
	}
	return cfg, errors.Join(f.lists(&cfg), f.users(&cfg))
}

func portFlag(name string, n int) (uint16, error) {
	if n < 1 || n > 65535 {
		return 0, fmt.Errorf("%s %d: want 1 to 65535", name, n)
	}
	return uint16(n), nil
}

// numbers reads the limits that are set by hand.
func (f *runFlags) numbers(cfg *sidecar.Config) error {
	if f.conns > 0 {
		cfg.Limits["connections"] = f.conns
	}
	for _, s := range f.limits {
		name, n, err := limits.Parse(s)
		if err != nil {
			return err
		}
		cfg.Limits[name] = n
	}
	return nil
}

// lists reads the options that may be given several times.
func (f *runFlags) lists(cfg *sidecar.Config) error {
	app := cfg.Address
	if f.app != "" {
		var err error
		if app, err = netip.ParseAddr(f.app); err != nil {
			return fmt.Errorf("--app-address %q: want an IP address", f.app)
		}
	}
	for _, s := range f.services {
		p, err := sidecar.ParseService(s, app)
		if err != nil {
			return err
		}
		cfg.Services = append(cfg.Services, p)
	}
	for _, s := range f.upstreams {
		u, err := sidecar.ParseUpstream(s)
		if err != nil {
			return err
		}
		cfg.Upstreams = append(cfg.Upstreams, u)
	}
	if len(f.outbound) == 0 {
		f.outbound = list{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), sidecar.OutboundPort).String()}
	}
	for _, s := range f.outbound {
		if s == "none" {
			continue
		}
		a, err := netip.ParseAddrPort(s)
		if err != nil || !a.Addr().IsLoopback() {
			return fmt.Errorf("--outbound-listen %q: want a loopback IP:PORT; who can connect there acts as this workload", s)
		}
		cfg.Outbound = append(cfg.Outbound, a)
	}
	return nil
}

// users reads whose connections the outbound side takes.
func (f *runFlags) users(cfg *sidecar.Config) error {
	switch {
	case f.clients == "any", f.clients == "" && f.redirected:
		return nil
	case f.clients == "":
		cfg.ClientUID = []uint32{uint32(os.Getuid())} // never negative on Linux
		return nil
	}
	if n, err := strconv.ParseUint(f.clients, 10, 32); err == nil {
		cfg.ClientUID = []uint32{uint32(n)}
		return nil
	}
	u, err := user.Lookup(f.clients)
	if err != nil {
		return fmt.Errorf("--client-user: %w", err)
	}
	n, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return fmt.Errorf("--client-user %s: %w", f.clients, err)
	}
	cfg.ClientUID = []uint32{uint32(n)}
	return nil
}
