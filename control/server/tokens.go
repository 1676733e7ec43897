package server

import (
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/control/registry"
	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
)

// tokenPages are about workloads that join by token. On Kubernetes they say
// what is there in their place.
func (s *Server) tokenPages() map[string]page {
	pages := map[string]page{
		"POST /leno/v1/tokens":           s.createToken,
		"GET /leno/v1/tokens":            s.listTokens,
		"DELETE /leno/v1/tokens/{id}":    s.revokeToken,
		"DELETE /leno/v1/workloads/{id}": s.revokeWorkload,
	}
	if s.registry == nil {
		for pattern := range pages {
			pages[pattern] = func(*http.Request) (any, error) {
				return nil, &badRequest{errors.New("on Kubernetes pods join by their service account: there are no join tokens, and a pod leaves the mesh when it is deleted")}
			}
		}
	}
	return pages
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
