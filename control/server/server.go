// Package server puts the control plane together: one process with one port
// for proxies, and one unix socket for the operator, or on Kubernetes one port
// on loopback.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/leno-mesh/leno/control/ca"
	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/control/publish"
	"github.com/leno-mesh/leno/control/registry"
	"github.com/leno-mesh/leno/control/store"
	"github.com/leno-mesh/leno/file"
	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
)

// Defaults of Config.
const (
	DefaultListen        = ":4180"
	DefaultTrustDomain   = "cluster.local"
	DefaultClusterDomain = "cluster.local"
)

// Config says how a control plane is to run. The zero value of all but
// DataDir gives the defaults.
type Config struct {
	// DataDir keeps keys, tokens, workloads and metrics; it is made 0700.
	DataDir string
	// Listen is where proxies come, ":4180".
	Listen string
	// Advertise are the addresses that join files name, "host:port". None
	// means the host's own at the port of Listen.
	Advertise []string
	// Socket is the operator's, DataDir/leno.sock unless set.
	Socket string
	// ConfigDir is a directory of YAML; "" for none.
	ConfigDir   string
	TrustDomain mesh.TrustDomain
	// ClusterDomain is the end of long service names.
	ClusterDomain string
	// Networks are the mesh's own; none means the private and loopback ones,
	// or what the doors say where there is a Prove.
	Networks []netip.Prefix
	// CertificateLifetime is that of workloads, 24 h.
	CertificateLifetime time.Duration
	// Lease is how long a workload without a stream stays ready, 30 s.
	Lease   time.Duration
	Version string
	Log     *slog.Logger

	// Roots are the certificate authority's; nil means one in DataDir.
	Roots ca.Roots
	// Doors are further ways in for configuration and workloads.
	Doors []Door
	// Prove is set on Kubernetes: pods prove themselves by their tokens, and
	// which pods there are the doors say. There is no registry then, and what
	// DataDir holds may be lost.
	Prove Prover
	// Operator is "IP:PORT" on loopback for the operator, in place of Socket.
	Operator string
}

// Door is a way for configuration and workloads to come in.
type Door struct {
	// Name is the one under which it syncs.
	Name string
	// Open makes it. Its Run is called beside that of the catalog.
	Open func(*catalog.Catalog) Runner
}

// Runner is a part of the control plane that runs until ctx ends.
type Runner interface {
	Run(ctx context.Context) error
}

// DefaultNetworks are the private, shared, link-local and loopback networks.
func DefaultNetworks() []netip.Prefix {
	var out []netip.Prefix
	for _, s := range []string{
		"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "127.0.0.0/8",
		"fc00::/7", "fe80::/10", "::1/128",
	} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

func (c *Config) defaults() error {
	if c.DataDir == "" {
		return errors.New("no data directory; give one with --data-dir")
	}
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if c.Socket == "" {
		c.Socket = filepath.Join(c.DataDir, "leno.sock")
	}
	if c.TrustDomain == "" {
		c.TrustDomain = DefaultTrustDomain
	}
	if c.ClusterDomain == "" {
		c.ClusterDomain = DefaultClusterDomain
	}
	if len(c.Networks) == 0 && c.Prove == nil {
		c.Networks = DefaultNetworks()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Server is one control plane, put together and not yet running.
type Server struct {
	cfg       Config
	log       *slog.Logger
	started   time.Time
	source    *identity.Source
	ca        *ca.CA
	catalog   *catalog.Catalog
	registry  *registry.Registry // nil on Kubernetes
	books     books
	files     *file.Door // nil without a directory
	doors     []Runner
	publisher *publish.Publisher
	store     *store.Store
	proxies   net.Listener
	operator  net.Listener
	shutdown  chan struct{}
}

// New opens everything in the order in which it is needed. What was opened is
// closed again when a later step fails.
func New(cfg Config) (*Server, error) {
	if err := cfg.defaults(); err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, log: cfg.Log, started: time.Now(), source: identity.NewSource(), shutdown: make(chan struct{}, 1)}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	// The registry's file comes first: it locks the data directory, so that two
	// servers started together do not both make an authority.
	for _, step := range []func() error{s.openCatalog, s.openAuthority, s.openStore, s.openPublisher, s.listen} {
		if err := step(); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func (s *Server) openAuthority() (err error) {
	roots := s.cfg.Roots
	if roots == nil {
		if roots, err = ca.OpenDir(ca.DirConfig{Path: filepath.Join(s.cfg.DataDir, "ca"), TrustDomain: s.cfg.TrustDomain}); err != nil {
			return err
		}
	}
	if s.ca, err = ca.New(ca.Config{Roots: roots, Lifetime: s.cfg.CertificateLifetime}); err != nil {
		return err
	}
	if err := s.source.SetBundle(s.ca.Bundle()); err != nil {
		return err
	}
	return s.renewOwn()
}

// openCatalog opens the doors and the index that they lead to.
func (s *Server) openCatalog() error {
	cfg := catalog.Config{
		Settings: catalog.Settings{TrustDomain: s.cfg.TrustDomain, ClusterDomain: s.cfg.ClusterDomain, Networks: s.cfg.Networks},
		// Without books to continue from, a later start has the larger epoch.
		Start: mesh.Version{Epoch: uint64(s.started.UnixMilli())},
	}
	late := &lateCatalog{}
	if s.cfg.Prove != nil {
		s.books = cluster{s}
	} else if err := s.openRegistry(late, &cfg); err != nil {
		return err
	}
	if s.cfg.ConfigDir != "" {
		cfg.Doors = append(cfg.Doors, file.DoorName)
	}
	for _, d := range s.cfg.Doors {
		cfg.Doors = append(cfg.Doors, d.Name)
	}
	s.catalog = catalog.New(cfg)
	late.Catalog = s.catalog
	for _, d := range s.cfg.Doors {
		s.doors = append(s.doors, d.Open(s.catalog))
	}
	if s.cfg.ConfigDir != "" {
		s.files = file.New(file.Config{
			Dir: s.cfg.ConfigDir, Catalog: s.catalog, Log: s.log, Keep: filepath.Join(s.cfg.DataDir, "files.kept"),
		})
		s.doors = append(s.doors, s.files)
	}
	return nil
}

func (s *Server) openRegistry(into registry.Catalog, cfg *catalog.Config) (err error) {
	s.registry, err = registry.Open(registry.Config{
		Path: filepath.Join(s.cfg.DataDir, "registry.db"), TrustDomain: s.cfg.TrustDomain,
		Catalog: into, Lease: s.cfg.Lease, Log: s.log,
	})
	if err != nil {
		return err
	}
	s.books = &joined{Server: s}
	s.doors = append(s.doors, s.registry)
	cfg.Doors, cfg.Start = append(cfg.Doors, registry.Door), s.registry.Start()
	return nil
}

// lateCatalog is the catalog for the registry, which must be open before the
// catalog can be made: it knows where the versions begin.
type lateCatalog struct{ *catalog.Catalog }

func (s *Server) openStore() (err error) {
	s.store, err = store.Open(store.Config{
		Dir: filepath.Join(s.cfg.DataDir, "metrics"), Reporter: s.reporter, Logger: s.log,
	})
	return err
}

func (s *Server) openPublisher() error {
	s.publisher = publish.New(publish.Config{
		Catalog: s.catalog, Connected: s.books.connected, Registered: s.books.registered, Disconnected: s.books.disconnected, Draining: s.books.leaving, Log: s.log,
	})
	return s.publisher.SetBundle(s.ca.Bundle())
}

func (s *Server) listen() (err error) {
	if s.proxies, err = net.Listen("tcp", s.cfg.Listen); err != nil {
		return fmt.Errorf("listen for proxies: %w; is another server running? choose a port with --listen", err)
	}
	if s.cfg.Operator == "" {
		s.operator, err = listenUnix(s.cfg.Socket)
		return err
	}
	if at, err := netip.ParseAddrPort(s.cfg.Operator); err != nil || !at.Addr().IsLoopback() {
		return fmt.Errorf("operator's address %q: want a loopback IP:PORT; who can connect there may do everything", s.cfg.Operator)
	}
	if s.operator, err = net.Listen("tcp", s.cfg.Operator); err != nil {
		return fmt.Errorf("listen for the operator: %w", err)
	}
	return nil
}

// OperatorAddr is where the operator comes.
func (s *Server) OperatorAddr() net.Addr { return s.operator.Addr() }

// Waiting says what the server waits for before it can serve new proxies, ""
// when for nothing.
func (s *Server) Waiting() string {
	select {
	case <-s.catalog.Synced():
	default:
		return "the first complete listing of every door"
	}
	if v := s.source.SVID(); v.Expired(time.Now()) {
		return "a certificate of its own; the last one ended at " + v.Expires().Format(time.RFC3339)
	}
	return ""
}

// Addr is where proxies come.
func (s *Server) Addr() net.Addr { return s.proxies.Addr() }

// Run serves until ctx ends or the operator says so. Streams say goodbye
// first; what is in flight gets a moment.
func (s *Server) Run(ctx context.Context) error {
	defer s.close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error { return notCanceled(s.catalog.Run(gctx)) })
	for _, d := range s.doors {
		group.Go(func() error { return notCanceled(d.Run(gctx)) })
	}
	group.Go(func() error { return notCanceled(s.publisher.Run(gctx)) })
	group.Go(func() error { return notCanceled(s.store.Run(gctx)) })
	group.Go(func() error { return s.keepOwn(gctx) })
	group.Go(func() error { return s.keepSmall(gctx) })
	group.Go(func() error { return s.serveProxies(gctx) })
	group.Go(func() error { return s.serveOperator(gctx) })
	group.Go(func() error {
		select {
		case <-s.shutdown:
			stop()
		case <-gctx.Done():
		}
		return nil
	})
	return group.Wait()
}

func notCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func (s *Server) close() {
	if s.operator != nil {
		_ = s.operator.Close() // takes the socket's file away too
	}
	if s.proxies != nil {
		_ = s.proxies.Close()
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.log.Error("metrics store not closed cleanly", "error", err)
		}
	}
	if s.registry != nil {
		if err := s.registry.Close(); err != nil {
			s.log.Error("registry not closed cleanly", "error", err)
		}
	}
}
