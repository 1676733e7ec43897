package subscribe

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"time"

	"connectrpc.com/connect"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
	"github.com/leno-mesh/leno/wire/gen/genconnect"
)

const issueTimeout = 10 * time.Second

// Authority carries requests for certificates to the control plane. Its Issue
// is an identity.IssueFunc.
type Authority struct {
	// Servers are "host:port", tried in turn until one answers.
	Servers []string
	// Dial opens connections. Nil: TCP with a time limit.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Issue asks each server in turn, over a connection of its own that r.TLS
// verifies before anything is sent. A considered no is a
// *identity.RefusedError and ends the round.
func (a Authority) Issue(ctx context.Context, r identity.Request) (identity.Answer, error) {
	err := errors.New("no servers")
	for _, server := range a.Servers {
		var answer identity.Answer
		if answer, err = a.ask(ctx, server, r); err == nil || isRefusal(err) {
			return answer, err
		}
	}
	return identity.Answer{}, err
}

func (a Authority) ask(ctx context.Context, server string, r identity.Request) (identity.Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, issueTimeout)
	defer cancel()
	if r.TLS == nil {
		return identity.Answer{}, errors.New("asking for a certificate needs TLS")
	}
	c := connections{tls: r.TLS.Clone, dial: a.Dial}
	defer c.close()
	res, err := genconnect.NewAuthorityClient(c.client(), c.url(server), callOptions()).
		Issue(ctx, connect.NewRequest(issueRequest(r)))
	if err != nil {
		return identity.Answer{}, refusal(server, err)
	}
	bundle, err := wire.BundleFromMessage(res.Msg.GetBundle())
	if err != nil {
		return identity.Answer{}, fmt.Errorf("answer of %s: %w", server, err)
	}
	return identity.Answer{Chain: res.Msg.GetChain(), Bundle: bundle}, nil
}

func issueRequest(r identity.Request) *gen.IssueRequest {
	m := &gen.IssueRequest{
		Csr: r.CSR, Registration: wire.EncodeRegistration(r.Registration),
		LifetimeSeconds: uint32(min(max(r.Lifetime/time.Second, 0), math.MaxUint32)),
	}
	switch {
	case r.Token != "":
		m.Proof = &gen.IssueRequest_JoinToken{JoinToken: r.Token}
	case r.KubernetesToken != "":
		m.Proof = &gen.IssueRequest_KubernetesToken{KubernetesToken: r.KubernetesToken}
	case r.Proof != nil:
		m.Proof = &gen.IssueRequest_Renewal{Renewal: &gen.Renewal{
			Chain: r.Proof.Chain, Signature: r.Proof.Signature, SignedAt: r.Proof.SignedAt.Unix(),
		}}
	}
	return m
}

// refusal tells a considered no from a failure to ask.
func refusal(server string, err error) error {
	var remote *connect.Error
	if connect.IsWireError(err) && errors.As(err, &remote) {
		switch remote.Code() {
		case connect.CodePermissionDenied, connect.CodeUnauthenticated, connect.CodeInvalidArgument:
			return &identity.RefusedError{Err: errors.New(remote.Message())}
		}
	}
	return fmt.Errorf("asking %s: %w", server, err)
}

func isRefusal(err error) bool {
	var r *identity.RefusedError
	return errors.As(err, &r)
}
