package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/crowd"
)

// maxHealth bounds the connections of the port for health checks.
const maxHealth = 64

// Health answers a kubelet, from before there is a Server to ask: /live as
// long as the process runs, /ready when nothing is waited for.
type Health struct {
	listener net.Listener
	waiting  atomic.Pointer[func() string]
}

// NewHealth listens at "IP:PORT".
func NewHealth(listen string) (*Health, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("listen for health checks: %w", err)
	}
	h := &Health{listener: crowd.Listen(l, maxHealth)}
	h.Ask(func() string { return "the start" })
	return h, nil
}

// Ask sets what is asked from now on: it says what is waited for, "" for
// nothing.
func (h *Health) Ask(waiting func() string) { h.waiting.Store(&waiting) }

// Addr is where the kubelet comes.
func (h *Health) Addr() net.Addr { return h.listener.Addr() }

// Run answers until ctx ends.
func (h *Health) Run(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "live\n") })
	mux.HandleFunc("GET /ready", func(w http.ResponseWriter, _ *http.Request) {
		if what := (*h.waiting.Load())(); what != "" {
			http.Error(w, "waiting for "+what, http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ready\n")
	})
	srv := &http.Server{
		Handler: mux, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second,
		IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() })
	defer stop()
	if err := srv.Serve(h.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("health checks: %w", err)
	}
	return nil
}
