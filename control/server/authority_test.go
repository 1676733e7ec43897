package server_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/tls"
	"errors"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"connectrpc.com/connect"

	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/control/server"
	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/identity/identitytest"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire/gen"
	"github.com/leno-mesh/leno/wire/gen/genconnect"
)

// caller speaks to the port for proxies without a proxy.
type caller struct {
	t    *testing.T
	p    *plane
	addr string
	join *identity.JoinFile
}

func newCaller(t *testing.T) *caller {
	t.Helper()
	p := start(t, server.Config{})
	a, err := p.CreateToken(t.Context(), operator.TokenRequest{Namespace: "shop", ServiceAccount: "web"})
	if err != nil {
		t.Fatal(err)
	}
	return &caller{t: t, p: p, addr: a.JoinFile.Servers[0], join: a.JoinFile}
}

// client gives an HTTP client that shows the certificate of source, or none.
func (c *caller) client(source *identity.Source) *http.Client {
	cfg := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}
	if source != nil {
		cfg = source.ClientTLS(identity.Expect{Identity: identity.ServerIdentity("cluster.local")}, "h2")
	}
	var protocols http.Protocols
	protocols.SetHTTP2(true)
	tr := &http.Transport{TLSClientConfig: cfg, Protocols: &protocols}
	c.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: ceiling}
}

// issue asks for a certificate with a fresh key.
func (c *caller) issue(source *identity.Source, m *gen.IssueRequest) (*ecdsa.PrivateKey, *gen.IssueResponse, error) {
	c.t.Helper()
	key := identitytest.Key(c.t)
	if m.Csr == nil {
		csr, err := identity.NewCSR(key)
		if err != nil {
			c.t.Fatal(err)
		}
		m.Csr = csr
	}
	res, err := genconnect.NewAuthorityClient(c.client(source), "https://"+c.addr).Issue(c.t.Context(), connect.NewRequest(m))
	if err != nil {
		return nil, nil, err
	}
	return key, res.Msg, nil
}

// member joins and gives the source of a new workload.
func (c *caller) member() *identity.Source {
	c.t.Helper()
	key, m, err := c.issue(nil, &gen.IssueRequest{Proof: &gen.IssueRequest_JoinToken{JoinToken: c.join.Token}})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.source(key, m)
}

func (c *caller) source(key *ecdsa.PrivateKey, m *gen.IssueResponse) *identity.Source {
	c.t.Helper()
	v, err := identity.NewSVID(key, m.GetChain())
	if err != nil {
		c.t.Fatal(err)
	}
	s := identity.NewSource()
	s.Set(v)
	if err := s.SetBundle(mesh.Bundle{TrustDomain: "cluster.local", Anchors: m.GetBundle().GetAnchors()}); err != nil {
		c.t.Fatal(err)
	}
	return s
}

func (c *caller) wantCode(err error, want connect.Code) {
	c.t.Helper()
	if connect.CodeOf(err) != want {
		c.t.Errorf("%v; want %s", err, want)
	}
}

// TestWithoutCertificate: only Issue may be called.
func TestWithoutCertificate(t *testing.T) {
	c := newCaller(t)
	_, _, err := c.issue(nil, &gen.IssueRequest{})
	c.wantCode(err, connect.CodeUnauthenticated)
	_, err = genconnect.NewTelemetryClient(c.client(nil), "https://"+c.addr).Push(t.Context(), connect.NewRequest(&gen.PushRequest{}))
	c.wantCode(err, connect.CodeUnauthenticated)
	ctx, cancel := context.WithTimeout(t.Context(), ceiling)
	defer cancel()
	b := genconnect.NewDiscoveryClient(c.client(nil), "https://"+c.addr, connect.WithGRPC()).Stream(ctx)
	_ = b.Send(&gen.ProxyMessage{Message: &gen.ProxyMessage_Hello{Hello: &gen.Hello{}}})
	_, err = b.Receive()
	c.wantCode(err, connect.CodeUnauthenticated)
	_ = b.CloseRequest()
	_ = b.CloseResponse()
}

// TestOtherRoot: a certificate of another authority ends the handshake.
func TestOtherRoot(t *testing.T) {
	c := newCaller(t)
	ca := identitytest.NewCA(t, "cluster.local")
	thief := ca.Source(t, "spiffe://cluster.local/ns/shop/sa/web", "w-1")
	if _, _, err := c.issue(thief, &gen.IssueRequest{}); identity.KindOf(err) != identity.UnknownAuthority {
		t.Errorf("the client took a server of another root: %v", err)
	}
	cfg := c.client(thief)
	cfg.Transport.(*http.Transport).TLSClientConfig.VerifyConnection = nil
	_, err := genconnect.NewAuthorityClient(cfg, "https://"+c.addr).Issue(t.Context(), connect.NewRequest(&gen.IssueRequest{}))
	// The server hangs up; the client may still be writing.
	if code := connect.CodeOf(err); code != connect.CodeUnavailable && code != connect.CodeCanceled {
		t.Errorf("%v; want the end of the connection", err)
	}
}

func TestRenewByConnection(t *testing.T) {
	c := newCaller(t)
	first := c.member()
	key, m, err := c.issue(first, &gen.IssueRequest{})
	if err != nil {
		t.Fatal(err)
	}
	second := c.source(key, m)
	if a, b := first.SVID(), second.SVID(); a.ID != b.ID || a.Workload != b.Workload || a.Leaf().SerialNumber.Cmp(b.Leaf().SerialNumber) == 0 {
		t.Errorf("%s (%s) became %s (%s)", a.ID, a.Workload, b.ID, b.Workload)
	}
	if _, _, err := c.issue(second, &gen.IssueRequest{}); err != nil {
		t.Fatal(err)
	}
	// The second key has renewed, so a copy of the first is of no more use.
	_, _, err = c.issue(first, &gen.IssueRequest{})
	c.wantCode(err, connect.CodePermissionDenied)

	if err := c.p.RevokeWorkload(t.Context(), string(second.SVID().Workload)); err != nil {
		t.Fatal(err)
	}
	_, _, err = c.issue(second, &gen.IssueRequest{})
	c.wantCode(err, connect.CodePermissionDenied)
}

// TestRenewBySignature is the way of a workload whose certificate has ended.
func TestRenewBySignature(t *testing.T) {
	c := newCaller(t)
	v := c.member().SVID()
	renewal := func(by *identity.SVID, at time.Time) *gen.IssueRequest {
		csr, err := identity.NewCSR(identitytest.Key(t))
		if err != nil {
			t.Fatal(err)
		}
		p, err := identity.NewProof(by, csr, at)
		if err != nil {
			t.Fatal(err)
		}
		return &gen.IssueRequest{Csr: csr, Proof: &gen.IssueRequest_Renewal{Renewal: &gen.Renewal{
			Chain: p.Chain, Signature: p.Signature, SignedAt: p.SignedAt.Unix(),
		}}}
	}
	// Somebody who made a certificate with the same names and a key of his own.
	forged := identitytest.NewCA(t, "cluster.local").SVID(t, v.ID, v.Workload)
	stolen := renewal(&forged, time.Now())
	stolen.GetRenewal().Chain = v.Certificate.Certificate
	swapped := renewal(v, time.Now())
	swapped.Csr = renewal(v, time.Now()).Csr
	for name, m := range map[string]*gen.IssueRequest{
		"own certificate of the same names": renewal(&forged, time.Now()),
		"another's certificate":             stolen,
		"another request":                   swapped,
		"an hour old":                       renewal(v, time.Now().Add(-time.Hour)),
		"no signature":                      {Proof: &gen.IssueRequest_Renewal{Renewal: &gen.Renewal{Chain: v.Certificate.Certificate}}},
		"nothing":                           {Proof: &gen.IssueRequest_Renewal{}},
	} {
		_, _, err := c.issue(nil, m)
		if connect.CodeOf(err) != connect.CodePermissionDenied {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, m, err := c.issue(nil, renewal(v, time.Now())); err != nil || m.GetWorkloadId() != string(v.Workload) {
		t.Errorf("the registered key was refused: %v", err)
	}
}

func TestBadRequests(t *testing.T) {
	c := newCaller(t)
	_, _, err := c.issue(nil, &gen.IssueRequest{Csr: []byte("no request"), Proof: &gen.IssueRequest_JoinToken{JoinToken: c.join.Token}})
	c.wantCode(err, connect.CodeInvalidArgument)
	_, _, err = c.issue(nil, &gen.IssueRequest{Csr: make([]byte, 1<<20)})
	c.wantCode(err, connect.CodeResourceExhausted)
	_, _, err = c.issue(nil, &gen.IssueRequest{Proof: &gen.IssueRequest_JoinToken{JoinToken: "leno_guess"}})
	c.wantCode(err, connect.CodePermissionDenied)
	_, _, err = c.issue(nil, &gen.IssueRequest{Proof: &gen.IssueRequest_KubernetesToken{KubernetesToken: "x"}})
	c.wantCode(err, connect.CodeUnimplemented)
	c.member() // none of it has spent the token
	var wire *connect.Error
	if _, _, err := c.issue(nil, &gen.IssueRequest{Proof: &gen.IssueRequest_JoinToken{JoinToken: c.join.Token}}); !errors.As(err, &wire) {
		t.Errorf("a second use: %v", err)
	}
}

func TestOneServerPerDataDirectory(t *testing.T) {
	dir := t.TempDir()
	start(t, server.Config{DataDir: dir})
	_, err := server.New(server.Config{DataDir: dir, Listen: "127.0.0.1:0", Socket: filepath.Join(t.TempDir(), "s")})
	if err == nil || !strings.Contains(err.Error(), "another server") {
		t.Errorf("a second server on the same data directory: %v", err)
	}
}
