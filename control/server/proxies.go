package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/leno-mesh/leno/control/ca"
	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/control/publish"
	"github.com/leno-mesh/leno/control/registry"
	"github.com/leno-mesh/leno/control/store"
	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
	"github.com/leno-mesh/leno/wire/gen/genconnect"
)

// Limits of what a proxy may send.
const (
	maxIssue  = 256 << 10
	maxPush   = 4 << 20
	maxHead   = 32 << 10
	stopGrace = 3 * time.Second
)

// serveProxies serves the one port for proxies. Without a certificate only
// Issue may be called; the other handlers ask for the peer in the context.
func (s *Server) serveProxies(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.Handle(s.publisher.Handler())
	mux.Handle(genconnect.NewAuthorityHandler(authority{s}, connect.WithReadMaxBytes(maxIssue)))
	mux.Handle(genconnect.NewTelemetryHandler(s.store, connect.WithReadMaxBytes(maxPush)))
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	srv := &http.Server{
		Handler: publish.Authenticate(mux), Protocols: &protocols, MaxHeaderBytes: maxHead,
		// Streams have no read or write time-out; their own pings find out
		// whether the other end lives.
		ReadHeaderTimeout: 10 * time.Second,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: 64, SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second,
			MaxReceiveBufferPerConnection: 1 << 20, MaxReceiveBufferPerStream: 512 << 10,
		},
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return serve(ctx, srv, tls.NewListener(s.proxies, s.source.OpenServerTLS("h2")), stopGrace)
}

// authority answers requests for certificates.
type authority struct{ *Server }

// Issue proves who asks, by a join token, by the certificate on the
// connection, or by a signature with the key of one that has expired, and
// signs a certificate for the key in the request.
func (a authority) Issue(ctx context.Context, req *connect.Request[gen.IssueRequest]) (*connect.Response[gen.IssueResponse], error) {
	m := req.Msg
	w, err := a.prove(ctx, m)
	if err != nil {
		return nil, a.refuse(ctx, err)
	}
	chain, err := a.ca.Issue(m.GetCsr(), ca.Subject{Identity: w.Identity, Workload: w.ID})
	if err != nil {
		return nil, a.refuse(ctx, err)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, a.refuse(ctx, err)
	}
	return connect.NewResponse(&gen.IssueResponse{
		Chain: chain, Bundle: wire.BundleMessage(a.ca.Bundle()), WorkloadId: string(w.ID), NotAfter: leaf.NotAfter.Unix(),
	}), nil
}

func (a authority) prove(ctx context.Context, m *gen.IssueRequest) (*registry.Workload, error) {
	key, err := ca.ReadCSR(m.GetCsr())
	if err != nil {
		return nil, connect.NewError(connect.CodeInvalidArgument, err)
	}
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	next := identity.HashKey(spki)
	end := time.Now().Add(a.ca.Lifetime())
	switch p := m.GetProof().(type) {
	case *gen.IssueRequest_JoinToken:
		reg, err := wire.DecodeRegistration(m.GetRegistration())
		if err != nil {
			return nil, connect.NewError(connect.CodeInvalidArgument, err)
		}
		return a.registry.Join(p.JoinToken, next, reg, end)
	case *gen.IssueRequest_Renewal:
		return a.renewExpired(m.GetCsr(), p.Renewal, next, end)
	case *gen.IssueRequest_KubernetesToken:
		return nil, connect.NewError(connect.CodeUnimplemented, errors.New("this control plane does not run on Kubernetes; join with a token: leno token create"))
	}
	peer, ok := publish.PeerFrom(ctx)
	if !ok {
		return nil, connect.NewError(connect.CodeUnauthenticated, errors.New("no join token and no valid certificate; join with a token: leno token create"))
	}
	return a.registry.Renew(registry.Renewal{
		Workload: peer.Workload, Identity: peer.Identity, Next: next, End: end,
		Proven: identity.HashKey(peer.Chain[0].RawSubjectPublicKeyInfo),
	})
}

// renewExpired takes a signature by the registered key in place of a
// certificate that has ended.
func (a authority) renewExpired(csr []byte, m *gen.Renewal, next identity.KeyHash, end time.Time) (*registry.Workload, error) {
	p := identity.Proof{Chain: m.GetChain(), Signature: m.GetSignature(), SignedAt: time.Unix(m.GetSignedAt(), 0)}
	leaf, err := p.Verify(csr, time.Now())
	if err != nil {
		return nil, connect.NewError(connect.CodePermissionDenied, err)
	}
	// The names in the old certificate only find the record; what lets the
	// workload in is that the key is the registered one.
	id, workload, err := identity.Peer(tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}})
	if err != nil {
		return nil, connect.NewError(connect.CodePermissionDenied, err)
	}
	return a.registry.Renew(registry.Renewal{
		Workload: workload, Identity: id, Next: next, End: end, Proven: identity.HashKey(leaf.RawSubjectPublicKeyInfo),
	})
}

// refuse tells a considered no from a failure of ours, and logs both once.
func (s *Server) refuse(ctx context.Context, err error) error {
	var peer string
	if p, ok := publish.PeerFrom(ctx); ok {
		peer = string(p.Workload)
	}
	var no *registry.Refusal
	var coded *connect.Error
	switch {
	case errors.As(err, &no):
		s.log.Warn("refused", "workload", peer, "error", err)
		return connect.NewError(connect.CodePermissionDenied, err)
	case errors.As(err, &coded):
		s.log.Warn("refused", "workload", peer, "error", err)
		return err
	}
	s.log.Error("certificate not issued", "workload", peer, "error", err)
	return connect.NewError(connect.CodeInternal, errors.New("the control plane failed to issue a certificate; its log says why"))
}

// sessions are the registry's sessions of the workloads that are connected.
type sessions struct {
	mu sync.Mutex
	m  map[mesh.WorkloadID]*registry.Session // guarded by mu
}

func (s *sessions) put(w mesh.WorkloadID, n *registry.Session) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.m == nil {
		s.m = make(map[mesh.WorkloadID]*registry.Session)
	}
	s.m[w] = n
}

func (s *sessions) get(w mesh.WorkloadID) *registry.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.m[w]
}

func (s *sessions) take(w mesh.WorkloadID) *registry.Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.m[w]
	delete(s.m, w)
	return n
}

// connected begins a workload's lease.
func (s *Server) connected(p publish.Peer, reg *mesh.Registration) error {
	n, err := s.registry.Connect(context.Background(), p.Workload, p.Identity, reg)
	if err != nil {
		return s.refuse(publish.WithPeer(context.Background(), p), err)
	}
	s.sessions.put(p.Workload, n)
	return nil
}

func (s *Server) disconnected(w mesh.WorkloadID) {
	if n := s.sessions.take(w); n != nil {
		if err := n.Close(context.Background()); err != nil && !errors.Is(err, context.Canceled) {
			s.log.Debug("the end of a stream was not registered", "workload", w, "error", err)
		}
	}
}

func (s *Server) leaving(w mesh.WorkloadID) {
	if n := s.sessions.get(w); n != nil {
		if err := n.Drain(context.Background()); err != nil {
			s.log.Debug("a drain was not registered", "workload", w, "error", err)
		}
	}
}

// reporter says who pushes metrics: its certificate and its registration,
// never its messages.
func (s *Server) reporter(ctx context.Context) (store.Reporter, bool) {
	p, ok := publish.PeerFrom(ctx)
	if !ok {
		return store.Reporter{}, false
	}
	w := s.catalog.View().Workload(p.Workload)
	if w == nil { // not registered, or revoked since its certificate was issued
		return store.Reporter{}, false
	}
	parts := p.Identity.Parts()
	r := reporterOf(w)
	r.Namespace, r.ServiceAccount = parts.Namespace, parts.ServiceAccount
	return r, true
}

func reporterOf(w *catalog.Workload) store.Reporter {
	r := store.Reporter{
		Workload: w.ID, Namespace: w.Namespace, ServiceAccount: w.ServiceAccount, Name: w.Registration.Name, Owner: w.Owner,
	}
	for _, n := range w.Offers() {
		r.Services = append(r.Services, n.Name)
	}
	return r
}
