// Package admin is a proxy's own small HTTP server: whether it lives, whether
// it is ready, its metrics, whether the application listens, and, on loopback only, what it believes and the
// level of its log.
package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/leno-mesh/leno/crowd"
)

// Config says what the server shows.
type Config struct {
	// Listen is the workload's address, or an unspecified one for all of
	// them; everybody may see what is served there.
	Listen netip.AddrPort
	// Ready gives what is missing, "" when nothing is.
	Ready func() string
	// Metrics writes the Prometheus text form.
	Metrics func(io.Writer) error
	// Snapshot gives what the proxy believes; it is written as JSON.
	Snapshot func() any
	// Limits gives what may be spent and what is; it is written as JSON.
	Limits func() any
	// Level is the level of the log; it can be set on loopback.
	Level *slog.LevelVar
	// Reach says whether the application listens on a port. Nil: nobody may
	// ask.
	Reach func(ctx context.Context, port uint16) error
	// MaxConns and MaxProbes bound connections, and probes under way; 0 means
	// the constants of these names.
	MaxConns, MaxProbes int
}

// MaxConns bounds the connections of the admin port: those of the kubelet, of a
// Prometheus and of a person with questions.
const MaxConns = 64

// Server serves the admin pages.
type Server struct {
	cfg      Config
	listener net.Listener
	http     *http.Server
	probes   chan struct{} // has a token for each probe under way
}

// New opens the listener.
func New(cfg Config) (*Server, error) {
	at := cfg.Listen.String()
	if cfg.Listen.Addr().IsUnspecified() {
		at = ":" + strconv.Itoa(int(cfg.Listen.Port())) // of both families, where there are two
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		return nil, fmt.Errorf("listen for admin pages: %w; is another proxy running at this address?", err)
	}
	s := &Server{cfg: cfg, listener: crowd.Listen(l, cmp.Or(cfg.MaxConns, MaxConns)), probes: make(chan struct{}, cmp.Or(cfg.MaxProbes, MaxProbes))}
	mux := http.NewServeMux()
	if cfg.Reach != nil {
		mux.HandleFunc("GET /probe/tcp/{port}", s.probe)
	}
	mux.HandleFunc("GET /live", s.live)
	mux.HandleFunc("GET /ready", s.ready)
	mux.HandleFunc("GET /metrics", s.metrics)
	mux.HandleFunc("GET /debug/snapshot", loopback(asJSON(cfg.Snapshot)))
	mux.HandleFunc("GET /debug/limits", loopback(asJSON(cfg.Limits)))
	mux.HandleFunc("GET /debug/log-level", loopback(s.level))
	mux.HandleFunc("PUT /debug/log-level", loopback(s.setLevel))
	s.http = &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 30 * time.Second, IdleTimeout: time.Minute, MaxHeaderBytes: 16 << 10,
	}
	return s, nil
}

// Addr is where the server listens.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = s.http.Close() })
	defer stop()
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("admin server: %w", err)
	}
	return nil
}

func (s *Server) live(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "live\n") }

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if missing := s.cfg.Ready(); missing != "" {
		http.Error(w, "waiting for "+missing, http.StatusServiceUnavailable)
		return
	}
	_, _ = io.WriteString(w, "ready\n")
}

func (s *Server) metrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	_ = s.cfg.Metrics(w) // a reader that went away is not ours to report
}

// asJSON is a page that shows a value.
func asJSON(value func() any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		_ = enc.Encode(value())
	}
}

func (s *Server) level(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintln(w, s.cfg.Level.Level())
}

func (s *Server) setLevel(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(io.LimitReader(r.Body, 64))
	if err == nil {
		err = s.cfg.Level.UnmarshalText(text)
	}
	if err != nil {
		http.Error(w, "want one of debug, info, warn, error", http.StatusBadRequest)
		return
	}
	s.level(w, r)
}

// loopback refuses everybody who does not come over this machine's loopback,
// and pages of browsers that were tricked into asking.
func loopback(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !overLoopback(r) || !localName(r.Host) || r.Header.Get("Origin") != "" {
			http.Error(w, "only over this machine's loopback", http.StatusForbidden)
			return
		}
		h(w, r)
	}
}

// overLoopback says whether a connection has never left this machine: it comes
// from a loopback address, or from the very address that it goes to. Nobody else
// can connect from that: the kernel drops its own addresses when they come from
// the network, and would send its answers to itself.
func overLoopback(r *http.Request) bool {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	if from.Addr().Unmap().IsLoopback() {
		return true
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && local.AddrPort().Addr().Unmap() == from.Addr().Unmap()
}

// localName says whether a Host field names an address rather than a name
// that somebody may have pointed at loopback.
func localName(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if host == "localhost" {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}
