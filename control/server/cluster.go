package server

import (
	"context"
	"crypto/ecdsa"
	"errors"

	"connectrpc.com/connect"

	"github.com/leno-mesh/leno/control/ca"
	"github.com/leno-mesh/leno/control/publish"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire/gen"
)

// Prover finds out for whom a Kubernetes service-account token speaks. An
// *identity.RefusedError says that it is no good, any other error that this
// could not be found out.
type Prover func(ctx context.Context, token string) (mesh.Identity, mesh.WorkloadID, error)

// cluster are the books on Kubernetes: a pod's token proves it, and what pods
// there are the door has brought. Nothing is written, so any number of servers
// can do this side by side.
type cluster struct{ *Server }

// prove takes a token, or the certificate on the connection as long as the
// pod is known to be there. The latter needs no API server, so that one that
// is down does not end the certificates of pods that run.
func (c cluster) prove(ctx context.Context, m *gen.IssueRequest, _ *ecdsa.PublicKey) (ca.Subject, error) {
	switch p := m.GetProof().(type) {
	case *gen.IssueRequest_KubernetesToken:
		id, workload, err := c.cfg.Prove(ctx, p.KubernetesToken)
		return ca.Subject{Identity: id, Workload: workload}, unavailable(err)
	case *gen.IssueRequest_JoinToken:
		return ca.Subject{}, connect.NewError(connect.CodePermissionDenied,
			errors.New("this control plane runs on Kubernetes, where pods prove themselves by their service account; it knows no join tokens"))
	case *gen.IssueRequest_Renewal:
		return ca.Subject{}, connect.NewError(connect.CodePermissionDenied,
			errors.New("on Kubernetes a certificate that has ended is replaced by the pod's service-account token"))
	}
	peer, ok := publish.PeerFrom(ctx)
	if !ok {
		return ca.Subject{}, connect.NewError(connect.CodeUnauthenticated, errors.New("no service-account token and no valid certificate"))
	}
	w := c.catalog.View().Workload(peer.Workload)
	if w == nil || w.Identity != peer.Identity {
		return ca.Subject{}, connect.NewError(connect.CodePermissionDenied,
			errors.New("the cluster has no such pod with a proxy, or not yet; ask with its service-account token"))
	}
	return ca.Subject{Identity: peer.Identity, Workload: peer.Workload}, nil
}

// unavailable marks what is no refusal: the proxy asks again.
func unavailable(err error) error {
	if err == nil || isRefused(err) {
		return err
	}
	return connect.NewError(connect.CodeUnavailable, err)
}

// connected takes everybody with a certificate: the door may hear of a new pod
// later than its proxy is here, and brings its snapshot then.
func (c cluster) connected(p publish.Peer, _ *mesh.Registration) error {
	if w := c.catalog.View().Workload(p.Workload); w != nil && w.Identity != p.Identity {
		return c.refuse(publish.WithPeer(context.Background(), p),
			connect.NewError(connect.CodePermissionDenied, errors.New("its pod has another service account")))
	}
	return nil
}

// Whether a pod is ready, or ends, the cluster says, and not its stream: so a
// server that goes away takes no endpoint with it.

func (cluster) registered(publish.Peer, *mesh.Registration) error { return nil }
func (cluster) disconnected(mesh.WorkloadID)                      {}
func (cluster) leaving(mesh.WorkloadID)                           {}
