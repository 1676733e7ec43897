package webhook

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/client-go/kubernetes"

	"github.com/leno-mesh/leno/crowd"
	"github.com/leno-mesh/leno/kube/inject"
)

// Limits on what a caller can make the server do.
const (
	maxReview = 4 << 20 // bytes; the API server's own limit for an object is lower
	// maxConns is far more than API servers open; a flood ends its own first, so
	// that it cannot keep them out and have pods start without a proxy.
	maxConns     = 256
	readTimeout  = 10 * time.Second
	writeTimeout = 10 * time.Second
	idleTimeout  = 2 * time.Minute
)

// Path is where the API server sends pods.
const Path = "/inject"

// Config makes a Server.
type Config struct {
	Client kubernetes.Interface
	// Namespace is Leno's own, whose pods are never injected.
	Namespace string
	// Listen is ":4181" unless set.
	Listen   string
	Settings inject.Settings
	// Prepare is called before a pod is injected, so that its namespace has
	// what the proxy needs. It may be nil.
	Prepare func(ctx context.Context, namespace string) error
	// Annotated gives the namespaces that opt in by an annotation and not by
	// the label, sorted, once it knows them. It may be nil.
	Annotated func() (namespaces []string, known bool)
	Log       *slog.Logger
}

// Server answers the API server's questions about new pods.
type Server struct {
	cfg      Config
	listener net.Listener
	current  atomic.Pointer[tls.Certificate]
	keeper   keeper
}

// New listens. Nothing is answered before Run.
func New(cfg Config) (*Server, error) {
	if cfg.Listen == "" {
		cfg.Listen = ":4181"
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	l, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen for the webhook: %w", err)
	}
	s := &Server{cfg: cfg, listener: crowd.Listen(l, maxConns)}
	s.keeper = keeper{client: cfg.Client, namespace: cfg.Namespace, log: cfg.Log, use: s.current.Store, annotated: cfg.Annotated}
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run answers until ctx ends, and keeps the certificate.
func (s *Server) Run(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+Path, s.admit)
	server := &http.Server{
		Handler:     mux,
		TLSConfig:   &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.certificate},
		ReadTimeout: readTimeout, ReadHeaderTimeout: readTimeout, WriteTimeout: writeTimeout, IdleTimeout: idleTimeout,
		MaxHeaderBytes: 32 << 10,
		ErrorLog:       slog.NewLogLogger(s.cfg.Log.Handler(), slog.LevelDebug),
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.keeper.run(ctx) })
	group.Go(func() error {
		if err := server.ServeTLS(s.listener, "", ""); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("webhook: %w", err)
		}
		return nil
	})
	group.Go(func() error {
		<-ctx.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		defer cancel()
		return server.Shutdown(end)
	})
	if err := group.Wait(); err != nil && !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

var errNoCertificate = errors.New("the webhook has no certificate yet")

func (s *Server) certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if c := s.current.Load(); c != nil {
		return c, nil
	}
	return nil, errNoCertificate
}
