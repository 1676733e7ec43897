package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/control/compile"
	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/control/publish"
	"github.com/leno-mesh/leno/control/registry"
	"github.com/leno-mesh/leno/mesh"
)

const maxOperatorBody = 1 << 20

// page is a page of the operator's interface: a value, or an error whose text
// the operator reads.
type page func(*http.Request) (any, error)

// serveOperator serves the operator's socket, or port.
func (s *Server) serveOperator(ctx context.Context) error {
	mux := http.NewServeMux()
	for pattern, p := range map[string]page{
		"GET /leno/v1/status":     s.status,
		"GET /leno/v1/proxies":    s.listProxies,
		"GET /leno/v1/endpoints":  s.listEndpoints,
		"GET /leno/v1/identities": s.listIdentities,
		"GET /leno/v1/checks":     s.listChecks,
		"POST /leno/v1/shutdown":  s.askShutdown,
	} {
		mux.Handle(pattern, p)
	}
	for pattern, p := range s.tokenPages() {
		mux.Handle(pattern, p)
	}
	mux.Handle("/", s.store.Handler())
	srv := &http.Server{
		Handler: notFromBrowsers(mux), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	if err := serve(ctx, srv, s.operator, time.Second); err != nil {
		return fmt.Errorf("operator's interface: %w", err)
	}
	return nil
}

// notFromBrowsers refuses pages of other sites that a browser on the
// operator's machine was tricked into asking, where the interface is on a port:
// who asks by another's name has had that name pointed here.
func notFromBrowsers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		_, err := netip.ParseAddr(strings.Trim(host, "[]"))
		if known := err == nil || host == "localhost" || host == "leno"; !known || r.Header.Get("Origin") != "" {
			http.Error(w, "only for the operator's own programs", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// ServeHTTP writes the value as JSON, or the error as text.
func (p page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxOperatorBody)
	v, err := p(r)
	if err != nil {
		status := http.StatusInternalServerError
		var no *registry.Refusal
		var bad *badRequest
		if errors.As(err, &no) || errors.As(err, &bad) {
			status = http.StatusBadRequest
		}
		http.Error(w, err.Error(), status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// badRequest is an error of whoever asked.
type badRequest struct{ error }

func (s *Server) status(*http.Request) (any, error) {
	ix := s.catalog.View()
	return operator.Status{
		Version: s.cfg.Version, Started: s.started, TrustDomain: string(s.cfg.TrustDomain),
		Address: s.Addr().String(), Snapshot: ix.Version().String(), PID: os.Getpid(),
		Proxies: len(s.publisher.Proxies()), Workloads: len(ix.Workloads()), Services: len(ix.Services()),
	}, nil
}

func (s *Server) askShutdown(*http.Request) (any, error) {
	select {
	case s.shutdown <- struct{}{}:
	default:
	}
	return struct{}{}, nil
}

// listProxies joins what is registered with what the streams say.
func (s *Server) listProxies(*http.Request) (any, error) {
	streams := make(map[mesh.WorkloadID]publish.ProxyStatus)
	for _, p := range s.publisher.Proxies() {
		streams[p.Workload] = p
	}
	out := []operator.Proxy{}
	ix := s.catalog.View()
	for _, w := range ix.Workloads() {
		p := describe(ix, w)
		if st, ok := streams[w.ID]; ok {
			addStream(&p, st)
			if st.Bundle != 0 {
				now := st.Bundle == s.publisher.BundleHash()
				p.Anchors = &now
			}
		}
		out = append(out, p)
	}
	return out, nil
}

func describe(ix *catalog.Index, w *catalog.Workload) operator.Proxy {
	p := operator.Proxy{
		Workload: string(w.ID), Name: w.Registration.Name, Namespace: w.Namespace, ServiceAccount: w.ServiceAccount,
		Identity: string(w.Identity), Addr: w.Registration.Addr.String(), Zone: w.Registration.Zone,
		Services: []string{}, State: w.State.String(), Owner: w.Owner, Labels: w.Registration.Labels,
	}
	r := reporterOf(ix, w)
	p.Title = r.Title()
	for _, n := range w.Registration.Services {
		p.Services = append(p.Services, n.Service+":"+strconv.Itoa(int(n.Port)))
	}
	return p
}

func addStream(p *operator.Proxy, st publish.ProxyStatus) {
	p.Connected, p.ConnectedSince, p.ProxyVersion = true, st.Connected, st.ProxyVersion
	p.Confirmed, p.Destinations, p.Refused = st.Confirmed, st.Destinations, st.Refused
	p.CertificateEnd, p.RSSBytes, p.CPUSeconds = st.CertificateUntil, st.RSS, st.CPU.Seconds()
	if st.Version != (mesh.Version{}) {
		p.Snapshot = st.Version.String()
	}
}

// listEndpoints answers with what a proxy would be told, which is the same
// function asked by a person.
func (s *Server) listEndpoints(r *http.Request) (any, error) {
	ix := s.catalog.View()
	namespace := r.URL.Query().Get("namespace")
	names := ix.Services()
	if text := r.URL.Query().Get("name"); text != "" {
		n, ok := compile.ServiceOf(strings.ToLower(text), or(namespace, "default"), s.cfg.ClusterDomain)
		if !ok || !ix.Known(n) {
			return nil, &badRequest{fmt.Errorf("no service %q; `leno endpoints` without a name lists all", text)}
		}
		names = []mesh.ServiceName{n}
	}
	out := []operator.Endpoint{}
	for _, n := range names {
		if namespace != "" && r.URL.Query().Get("name") == "" && n.Namespace != namespace {
			continue
		}
		out = append(out, endpointsOf(ix, n)...)
	}
	return out, nil
}

func endpointsOf(ix *catalog.Index, n mesh.ServiceName) []operator.Endpoint {
	var out []operator.Endpoint
	for _, port := range portsOf(ix, n) {
		d, _ := compile.Destination(ix, compile.Caller{Namespace: n.Namespace}, mesh.Target{Host: n.String(), Port: port})
		if d.Default < 0 {
			continue
		}
		for _, e := range d.Sets[d.Default].Endpoints {
			out = append(out, operator.Endpoint{
				Namespace: n.Namespace, Service: n.Name, Port: port, Addr: e.Addr, Instance: e.Name, Zone: e.Zone,
				Meshed: e.Meshed(), Identity: string(e.Identity), Workload: string(e.Workload), State: e.State.String(),
			})
		}
	}
	return out
}

// portsOf gives the ports at which a service can be called, each once.
func portsOf(ix *catalog.Index, n mesh.ServiceName) []uint16 {
	var out []uint16
	seen := map[uint16]bool{}
	add := func(p uint16) {
		if !seen[p] {
			seen[p] = true
			out = append(out, p)
		}
	}
	if svc := ix.Service(n); svc != nil {
		for _, p := range svc.Ports {
			add(p.Port)
		}
	}
	for _, w := range ix.WorkloadsOf(n) {
		for _, p := range w.Registration.Services {
			if p.Service == n.Name {
				add(p.Port)
			}
		}
	}
	return out
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
