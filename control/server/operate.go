package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/control/compile"
	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/control/publish"
	"github.com/leno-mesh/leno/control/registry"
	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
)

const maxOperatorBody = 1 << 20

// page is a page of the operator's interface: a value, or an error whose text
// the operator reads.
type page func(*http.Request) (any, error)

// serveOperator serves the operator's socket.
func (s *Server) serveOperator(ctx context.Context) error {
	mux := http.NewServeMux()
	for pattern, p := range map[string]page{
		"GET /leno/v1/status":            s.status,
		"POST /leno/v1/tokens":           s.createToken,
		"GET /leno/v1/tokens":            s.listTokens,
		"DELETE /leno/v1/tokens/{id}":    s.revokeToken,
		"DELETE /leno/v1/workloads/{id}": s.revokeWorkload,
		"GET /leno/v1/proxies":           s.listProxies,
		"GET /leno/v1/endpoints":         s.listEndpoints,
		"GET /leno/v1/identities":        s.listIdentities,
		"GET /leno/v1/checks":            s.listChecks,
		"POST /leno/v1/shutdown":         s.askShutdown,
	} {
		mux.Handle(pattern, p)
	}
	mux.Handle("/", s.store.Handler())
	srv := &http.Server{
		Handler: mux, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, WriteTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	if err := serve(ctx, srv, s.operator, time.Second); err != nil {
		return fmt.Errorf("operator's socket: %w", err)
	}
	return nil
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

func (s *Server) createToken(r *http.Request) (any, error) {
	var q operator.TokenRequest
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return nil, &badRequest{err}
	}
	g := registry.Grant{Namespace: q.Namespace, ServiceAccount: q.ServiceAccount}
	for _, text := range q.Services {
		n, err := registry.ParseService(text)
		if err != nil {
			return nil, &badRequest{err}
		}
		g.Services = append(g.Services, n)
	}
	servers := q.Servers
	if len(servers) == 0 {
		servers = s.addresses()
	}
	secret, t, err := s.registry.CreateToken(g, time.Duration(q.TTLSeconds)*time.Second)
	if err != nil {
		return nil, err
	}
	s.log.Info("token created", "token", t.ID, "namespace", g.Namespace, "service_account", g.ServiceAccount)
	bundle := s.ca.Bundle()
	return operator.TokenAnswer{ID: t.ID, JoinFile: &identity.JoinFile{
		Version: 1, Servers: servers, TrustDomain: bundle.TrustDomain, AnchorHash: identity.HashAnchor(bundle.Anchors[0]),
		Token: secret, Expires: t.Expires, Namespace: g.Namespace, ServiceAccount: g.ServiceAccount, Services: texts(g.Services),
	}}, nil
}

func texts(services []registry.Service) []string {
	out := make([]string, len(services))
	for i, n := range services {
		out[i] = n.String()
	}
	return out
}

// addresses are where proxies can reach this server.
func (s *Server) addresses() []string {
	if len(s.cfg.Advertise) > 0 {
		return s.cfg.Advertise
	}
	a, ok := s.Addr().(*net.TCPAddr)
	if !ok || !a.IP.IsUnspecified() {
		return []string{s.Addr().String()}
	}
	port := strconv.Itoa(a.Port)
	var out []string
	if all, err := net.InterfaceAddrs(); err == nil {
		for _, i := range all {
			if n, ok := i.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
				out = append(out, net.JoinHostPort(n.IP.String(), port))
			}
		}
	}
	return append(out, net.JoinHostPort("127.0.0.1", port))
}

func (s *Server) listTokens(*http.Request) (any, error) {
	all, err := s.registry.Tokens()
	out := make([]operator.Token, 0, len(all))
	now := time.Now()
	for _, t := range all {
		out = append(out, operator.Token{
			ID: t.ID, Namespace: t.Namespace, ServiceAccount: t.ServiceAccount, Services: texts(t.Services),
			Status: t.Status(now), Created: t.Created, Expires: t.Expires, Workload: string(t.Workload),
		})
	}
	return out, err
}

func (s *Server) revokeToken(r *http.Request) (any, error) {
	return struct{}{}, s.registry.RevokeToken(r.PathValue("id"))
}

func (s *Server) revokeWorkload(r *http.Request) (any, error) {
	w := mesh.WorkloadID(r.PathValue("id"))
	err := s.registry.Revoke(r.Context(), w)
	if err == nil {
		s.publisher.Cut(w)
		s.store.Forget(w)
	}
	return struct{}{}, err
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
	for _, w := range s.catalog.View().Workloads() {
		p := describe(w)
		if st, ok := streams[w.ID]; ok {
			addStream(&p, st)
		}
		out = append(out, p)
	}
	return out, nil
}

func describe(w *catalog.Workload) operator.Proxy {
	p := operator.Proxy{
		Workload: string(w.ID), Name: w.Registration.Name, Namespace: w.Namespace, ServiceAccount: w.ServiceAccount,
		Identity: string(w.Identity), Addr: w.Registration.Addr.String(), Zone: w.Registration.Zone,
		Services: []string{}, State: w.State.String(), Owner: w.Owner, Labels: w.Registration.Labels,
	}
	r := reporterOf(w)
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
