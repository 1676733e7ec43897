package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"sync"
	"time"

	"connectrpc.com/connect"

	"github.com/leno-mesh/leno/control/ca"
	"github.com/leno-mesh/leno/control/publish"
	"github.com/leno-mesh/leno/control/registry"
	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
)

// joined are the books outside Kubernetes: whoever came with a join token is
// in the registry.
type joined struct {
	*Server
	sessions sessions
}

func (j *joined) prove(ctx context.Context, m *gen.IssueRequest, key *ecdsa.PublicKey) (ca.Subject, error) {
	w, err := j.workload(ctx, m, key)
	if err != nil {
		return ca.Subject{}, err
	}
	return ca.Subject{Identity: w.Identity, Workload: w.ID}, nil
}

// workload takes a join token, the certificate on the connection, or a
// signature with the key of one that has expired.
func (j *joined) workload(ctx context.Context, m *gen.IssueRequest, key *ecdsa.PublicKey) (*registry.Workload, error) {
	spki, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, err
	}
	next := identity.HashKey(spki)
	end := time.Now().Add(j.ca.Lifetime(asked(m)))
	switch p := m.GetProof().(type) {
	case *gen.IssueRequest_JoinToken:
		reg, err := wire.DecodeRegistration(m.GetRegistration())
		if err != nil {
			return nil, connect.NewError(connect.CodeInvalidArgument, err)
		}
		return j.registry.Join(p.JoinToken, next, reg, end)
	case *gen.IssueRequest_Renewal:
		return j.renewExpired(m.GetCsr(), p.Renewal, next, end)
	case *gen.IssueRequest_KubernetesToken:
		return nil, connect.NewError(connect.CodeUnimplemented, errors.New("this control plane does not run on Kubernetes; join with a token: leno token create"))
	}
	peer, ok := publish.PeerFrom(ctx)
	if !ok {
		return nil, connect.NewError(connect.CodeUnauthenticated, errors.New("no join token and no valid certificate; join with a token: leno token create"))
	}
	return j.registry.Renew(registry.Renewal{
		Workload: peer.Workload, Identity: peer.Identity, Next: next, End: end,
		Proven: identity.HashKey(peer.Chain[0].RawSubjectPublicKeyInfo),
	})
}

// renewExpired takes a signature by the registered key in place of a
// certificate that has ended.
func (j *joined) renewExpired(csr []byte, m *gen.Renewal, next identity.KeyHash, end time.Time) (*registry.Workload, error) {
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
	return j.registry.Renew(registry.Renewal{
		Workload: workload, Identity: id, Next: next, End: end, Proven: identity.HashKey(leaf.RawSubjectPublicKeyInfo),
	})
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
func (j *joined) connected(p publish.Peer, reg *mesh.Registration) error {
	n, err := j.registry.Connect(context.Background(), p.Workload, p.Identity, reg)
	if err != nil {
		return j.refuse(publish.WithPeer(context.Background(), p), err)
	}
	j.sessions.put(p.Workload, n)
	return nil
}

// registered takes what has begun to listen.
func (j *joined) registered(p publish.Peer, reg *mesh.Registration) error {
	if n := j.sessions.get(p.Workload); n != nil {
		return n.Update(context.Background(), reg)
	}
	return nil
}

func (j *joined) disconnected(w mesh.WorkloadID) {
	if n := j.sessions.take(w); n != nil {
		if err := n.Close(context.Background()); err != nil && !errors.Is(err, context.Canceled) {
			j.log.Debug("the end of a stream was not registered", "workload", w, "error", err)
		}
	}
}

func (j *joined) leaving(w mesh.WorkloadID) {
	if n := j.sessions.get(w); n != nil {
		if err := n.Drain(context.Background()); err != nil {
			j.log.Debug("a drain was not registered", "workload", w, "error", err)
		}
	}
}
