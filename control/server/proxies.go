package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"connectrpc.com/connect"

	"github.com/leno-mesh/leno/control/ca"
	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/control/gate"
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
	maxIssue = 256 << 10
	maxPush  = 4 << 20
	maxHead  = 32 << 10
	headTime = 10 * time.Second
	// One proxy needs a stream, and a call now and then.
	maxStreams = 64
	connWindow = 1 << 20 // bytes received on one connection that nobody took

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
		ReadHeaderTimeout: headTime,
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxStreams, SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second,
			MaxReceiveBufferPerConnection: connWindow, MaxReceiveBufferPerStream: 512 << 10,
			// Few heads come on a connection, and their tables would stay with it.
			// The one for the other side's heads cannot be smaller than 4 KB, since
			// heads may come before our settings have gone: see heads_test.go. A
			// proxy keeps it small itself.
			MaxEncoderHeaderTableSize: 256,
		},
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return serve(ctx, srv, gate.New(s.proxies, s.source.OpenServerTLS("h2"), s.log), stopGrace)
}

// authority answers requests for certificates.
type authority struct{ *Server }

// books know the workloads of this mesh. Outside Kubernetes they are written
// as workloads join; on Kubernetes the cluster is the book.
type books interface {
	// prove says whom a request for a certificate is from. The key in its CSR
	// was shown to be the sender's.
	prove(ctx context.Context, m *gen.IssueRequest, key *ecdsa.PublicKey) (ca.Subject, error)
	// connected is asked when a proxy says hello on a stream. The registration
	// may be nil.
	connected(p publish.Peer, r *mesh.Registration) error
	// registered is told when a proxy says anew what its workload offers.
	registered(p publish.Peer, r *mesh.Registration) error
	disconnected(w mesh.WorkloadID)
	// leaving is told when a proxy has begun to drain.
	leaving(w mesh.WorkloadID)
}

// Issue finds out who asks and signs a certificate for the key in the request.
func (a authority) Issue(ctx context.Context, req *connect.Request[gen.IssueRequest]) (*connect.Response[gen.IssueResponse], error) {
	m := req.Msg
	who, err := a.subject(ctx, m)
	if err != nil {
		return nil, a.refuse(ctx, err)
	}
	chain, err := a.ca.Issue(m.GetCsr(), who)
	if err != nil {
		return nil, a.refuse(ctx, err)
	}
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, a.refuse(ctx, err)
	}
	return connect.NewResponse(&gen.IssueResponse{
		Chain: chain, Bundle: wire.BundleMessage(a.ca.Bundle()), WorkloadId: string(who.Workload), NotAfter: leaf.NotAfter.Unix(),
	}), nil
}

func (a authority) subject(ctx context.Context, m *gen.IssueRequest) (ca.Subject, error) {
	key, err := ca.ReadCSR(m.GetCsr())
	if err != nil {
		return ca.Subject{}, connect.NewError(connect.CodeInvalidArgument, err)
	}
	who, err := a.books.prove(ctx, m, key)
	if err == nil && who.Identity == identity.ServerIdentity(a.cfg.TrustDomain) {
		// Its holder could speak to every proxy as the control plane.
		return ca.Subject{}, connect.NewError(connect.CodePermissionDenied,
			fmt.Errorf("%s is the control plane's own identity; use another service account", who.Identity))
	}
	who.Lifetime = asked(m)
	return who, err
}

// asked is the lifetime that a request asks for, 0 for none.
func asked(m *gen.IssueRequest) time.Duration {
	return time.Duration(m.GetLifetimeSeconds()) * time.Second
}

// refuse tells a considered no from a failure of ours, and logs both once.
func (s *Server) refuse(ctx context.Context, err error) error {
	var peer string
	if p, ok := publish.PeerFrom(ctx); ok {
		peer = string(p.Workload)
	}
	var no *registry.Refusal
	var refused *identity.RefusedError
	var coded *connect.Error
	switch {
	case errors.As(err, &no):
		s.log.Warn("refused", "workload", peer, "error", err)
		return connect.NewError(connect.CodePermissionDenied, err)
	case errors.As(err, &refused): // its own words speak to the other side
		s.log.Warn("refused", "workload", peer, "error", refused.Err)
		return connect.NewError(connect.CodePermissionDenied, refused.Err)
	case errors.As(err, &coded):
		s.log.Warn("refused", "workload", peer, "error", err)
		return err
	}
	s.log.Error("certificate not issued", "workload", peer, "error", err)
	return connect.NewError(connect.CodeInternal, errors.New("the control plane failed to issue a certificate; its log says why"))
}

func isRefused(err error) bool {
	var r *identity.RefusedError
	return errors.As(err, &r)
}

// reporter says who pushes metrics: its certificate and its registration,
// never its messages.
func (s *Server) reporter(ctx context.Context) (store.Reporter, bool) {
	p, ok := publish.PeerFrom(ctx)
	if !ok {
		return store.Reporter{}, false
	}
	ix := s.catalog.View()
	w := ix.Workload(p.Workload)
	if w == nil { // not registered, or revoked since its certificate was issued
		return store.Reporter{}, false
	}
	parts := p.Identity.Parts()
	r := reporterOf(ix, w)
	r.Namespace, r.ServiceAccount = parts.Namespace, parts.ServiceAccount
	return r, true
}

func reporterOf(ix *catalog.Index, w *catalog.Workload) store.Reporter {
	r := store.Reporter{
		Workload: w.ID, Namespace: w.Namespace, ServiceAccount: w.ServiceAccount, Name: w.Registration.Name, Owner: w.Owner,
	}
	for _, n := range servicesOf(ix, w) {
		r.Services = append(r.Services, n.Name)
	}
	return r
}

// servicesOf gives the services that a workload is part of: those that it
// registered, and those that list it.
func servicesOf(ix *catalog.Index, w *catalog.Workload) []mesh.ServiceName {
	all := w.Offers()
	for _, a := range w.Addresses() {
		for _, slice := range ix.SlicesAt(a) {
			if !slices.Contains(all, slice.Service) {
				all = append(all, slice.Service)
			}
		}
	}
	return all
}
