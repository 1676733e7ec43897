package identity_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/identity/identitytest"
	"github.com/leno-mesh/leno/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	web  = mesh.Identity("spiffe://test.local/ns/shop/sa/web")
	cart = mesh.Identity("spiffe://test.local/ns/shop/sa/cart")
)

// handshake runs one over loopback TCP, and a byte each way so that a server's
// refusal and session tickets arrive. It gives both sides' errors.
func handshake(t *testing.T, server, client *tls.Config) (srv, cli error, state tls.ConnectionState) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	done := make(chan error, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			done <- err
			return
		}
		defer c.Close()
		s := tls.Server(c, server)
		if err := s.Handshake(); err != nil {
			done <- err
			return
		}
		_, err = s.Write([]byte{1})
		_, _ = io.Copy(io.Discard, s)
		done <- err
	}()
	raw, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c := tls.Client(raw, client)
	cli = c.Handshake()
	if cli == nil {
		_, _ = c.Read(make([]byte, 1))
		state = c.ConnectionState()
	}
	raw.Close()
	return <-done, cli, state
}

func TestHandshake(t *testing.T) {
	ca := identitytest.NewCA(t, "test.local")
	server := ca.Source(t, cart, "cart-1")
	client := ca.Source(t, web, "web-1")
	want := identity.Expect{Identity: cart, Workload: "cart-1"}
	srv, cli, cs := handshake(t, server.ServerTLS("leno/1"), client.ClientTLS(want, "leno/1"))
	if srv != nil || cli != nil {
		t.Fatalf("server: %v, client: %v", srv, cli)
	}
	id, w, err := identity.Peer(cs)
	if err != nil || id != cart || w != "cart-1" {
		t.Errorf("peer is %s, %s, %v", id, w, err)
	}
	if cs.Version != tls.VersionTLS13 || cs.NegotiatedProtocol != "leno/1" || cs.CurveID != tls.X25519MLKEM768 {
		t.Errorf("version %x, protocol %q, key exchange %v", cs.Version, cs.NegotiatedProtocol, cs.CurveID)
	}
}

// spoiled makes a Source whose certificate was changed in one way.
func spoiled(t *testing.T, ca *identitytest.CA, id mesh.Identity, w mesh.WorkloadID, spoil func(*x509.Certificate)) *tls.Certificate {
	t.Helper()
	key := identitytest.Key(t)
	tmpl := ca.Template(t, id, w)
	spoil(tmpl)
	return &tls.Certificate{Certificate: ca.Chain(t, tmpl, &key.PublicKey), PrivateKey: key}
}

// TestRefused shows each bad certificate to both a server and a client.
func TestRefused(t *testing.T) {
	ca := identitytest.NewCA(t, "test.local")
	other := identitytest.NewCA(t, "test.local")
	good := func(*x509.Certificate) {}
	cases := []struct {
		name string
		cert *tls.Certificate
		kind identity.VerifyKind
		// clientOnly: only a client expects one peer; a server takes anybody.
		clientOnly bool
	}{
		{"other root", spoiled(t, other, cart, "cart-1", good), identity.UnknownAuthority, false},
		{"expired", spoiled(t, ca, cart, "cart-1", func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		}), identity.Expired, false},
		{"not yet valid", spoiled(t, ca, cart, "cart-1", func(c *x509.Certificate) {
			c.NotBefore = time.Now().Add(time.Hour)
		}), identity.Expired, false},
		{"wrong identity", spoiled(t, ca, web, "cart-1", good), identity.WrongIdentity, true},
		{"wrong workload", spoiled(t, ca, cart, "cart-2", good), identity.WrongWorkload, true},
		{"other trust domain", spoiled(t, ca, "spiffe://else.local/ns/shop/sa/cart", "cart-1", good), identity.WrongIdentity, false},
		{"no URI", spoiled(t, ca, cart, "cart-1", func(c *x509.Certificate) {
			c.URIs, c.DNSNames = nil, []string{"cart"}
		}), identity.BadCertificate, false},
		{"two URIs", spoiled(t, ca, cart, "cart-1", func(c *x509.Certificate) {
			c.URIs = append(c.URIs, &url.URL{Scheme: "spiffe", Host: "test.local", Path: "/ns/shop/sa/web"})
		}), identity.BadCertificate, false},
		{"not a SPIFFE ID", spoiled(t, ca, "https://test.local/ns/shop/sa/cart", "cart-1", good), identity.BadCertificate, false},
		{"an authority", spoiled(t, ca, cart, "cart-1", func(c *x509.Certificate) { c.IsCA = true }), identity.BadCertificate, false},
		{"no key usage", spoiled(t, ca, cart, "cart-1", func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyAgreement }), identity.BadCertificate, false},
		{"wrong extended usage", spoiled(t, ca, cart, "cart-1", func(c *x509.Certificate) {
			c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageCodeSigning}
		}), identity.BadCertificate, false},
	}
	want := identity.Expect{Identity: cart, Workload: "cart-1"}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			good := ca.Source(t, web, "web-1")
			srvCfg := &tls.Config{Certificates: []tls.Certificate{*c.cert}, ClientAuth: tls.RequireAnyClientCert}
			if _, err, _ := handshake(t, srvCfg, good.ClientTLS(want)); identity.KindOf(err) != c.kind {
				t.Errorf("client says %v; want %s", err, c.kind)
			}
			if c.clientOnly {
				return
			}
			cliCfg := &tls.Config{Certificates: []tls.Certificate{*c.cert}, InsecureSkipVerify: true}
			if err, _, _ := handshake(t, good.ServerTLS(), cliCfg); identity.KindOf(err) != c.kind {
				t.Errorf("server says %v; want %s", err, c.kind)
			}
		})
	}
}

func TestNoCertificate(t *testing.T) {
	ca := identitytest.NewCA(t, "test.local")
	server := ca.Source(t, cart, "cart-1")
	bare := &tls.Config{InsecureSkipVerify: true}
	if err, _, _ := handshake(t, server.ServerTLS(), bare); err == nil {
		t.Error("a server that needs a certificate took a peer without")
	}
	if err, _, _ := handshake(t, server.OpenServerTLS(), bare); err != nil {
		t.Errorf("an open server refused a peer without a certificate: %v", err)
	}
	other := identitytest.NewCA(t, "test.local").Source(t, web, "web-1")
	cfg := other.ClientTLS(identity.Expect{})
	cfg.VerifyConnection = nil
	if err, _, _ := handshake(t, server.OpenServerTLS(), cfg); identity.KindOf(err) != identity.UnknownAuthority {
		t.Errorf("an open server took a bad certificate: %v", err)
	}
	if err, _, _ := handshake(t, identity.NewSource().ServerTLS(), bare); identity.KindOf(err) != identity.OwnCertificate {
		t.Errorf("a server without a certificate says %v", err)
	}
}

func TestOldTLSRefused(t *testing.T) {
	ca := identitytest.NewCA(t, "test.local")
	cfg := ca.Source(t, web, "web-1").ClientTLS(identity.Expect{})
	cfg.MinVersion, cfg.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	if srv, _, _ := handshake(t, ca.Source(t, cart, "cart-1").ServerTLS(), cfg); srv == nil {
		t.Error("TLS 1.2 was accepted")
	}
}

func TestResumption(t *testing.T) {
	ca := identitytest.NewCA(t, "test.local")
	server, client := ca.Source(t, cart, "cart-1"), ca.Source(t, web, "web-1")
	cache := tls.NewLRUClientSessionCache(8)
	srvCfg := server.ServerTLS()
	connect := func(w mesh.WorkloadID) (tls.ConnectionState, error) {
		srv, cli, cs := handshake(t, srvCfg, client.ClientTLS(identity.Expect{Identity: cart, Workload: w, Sessions: cache}))
		return cs, errors.Join(srv, cli)
	}
	if cs, err := connect("cart-1"); err != nil || cs.DidResume {
		t.Fatalf("first: resumed %t, %v", cs.DidResume, err)
	}
	if cs, err := connect("cart-1"); err != nil || !cs.DidResume {
		t.Fatalf("second: resumed %t, %v", cs.DidResume, err)
	}
	if _, err := connect("cart-2"); identity.KindOf(err) != identity.WrongWorkload {
		t.Errorf("session of another workload: %v", err)
	}

	// A rotated root: the same session must be judged by the new bundle.
	next := identitytest.NewCA(t, "test.local")
	if err := client.SetBundle(next.Bundle()); err != nil {
		t.Fatal(err)
	}
	if _, err := connect("cart-1"); identity.KindOf(err) != identity.UnknownAuthority {
		t.Errorf("after the root went: %v", err)
	}
	// Both sides move on: works again, by a full handshake.
	both := mesh.Bundle{TrustDomain: "test.local", Anchors: [][]byte{ca.Root.Raw, next.Root.Raw}}
	if err := errors.Join(client.SetBundle(both), server.SetBundle(both)); err != nil {
		t.Fatal(err)
	}
	if cs, err := connect("cart-1"); err != nil || cs.DidResume {
		t.Errorf("after both moved on: resumed %t, %v", cs.DidResume, err)
	}
}

// TestResumedSessionIsVerified offers a session under a changed bundle with
// the filing by generation taken out of the way: VerifyConnection still judges.
func TestResumedSessionIsVerified(t *testing.T) {
	ca := identitytest.NewCA(t, "test.local")
	server, client := ca.Source(t, cart, "cart-1"), ca.Source(t, web, "web-1")
	cache := &oneSession{}
	srvCfg := server.ServerTLS()
	connect := func() (error, tls.ConnectionState) {
		_, cli, cs := handshake(t, srvCfg, client.ClientTLS(identity.Expect{Identity: cart, Sessions: cache}))
		return cli, cs
	}
	if err, _ := connect(); err != nil {
		t.Fatal(err)
	}
	if err, cs := connect(); err != nil || !cs.DidResume {
		t.Fatalf("resumed %t, %v", cs.DidResume, err)
	}
	if err := client.SetBundle(identitytest.NewCA(t, "test.local").Bundle()); err != nil {
		t.Fatal(err)
	}
	if err, _ := connect(); identity.KindOf(err) != identity.UnknownAuthority {
		t.Errorf("resumed session under a bundle without its root: %v", err)
	}
}

type oneSession struct{ s *tls.ClientSessionState }

func (o *oneSession) Get(string) (*tls.ClientSessionState, bool) { return o.s, o.s != nil }
func (o *oneSession) Put(_ string, s *tls.ClientSessionState)    { o.s = s }

func TestBadBundles(t *testing.T) {
	ca := identitytest.NewCA(t, "test.local")
	s := ca.Source(t, web, "web-1")
	for name, b := range map[string]mesh.Bundle{
		"empty":         {TrustDomain: "test.local"},
		"no domain":     {Anchors: ca.Bundle().Anchors},
		"garbage":       {TrustDomain: "test.local", Anchors: [][]byte{{1, 2, 3}}},
		"not an anchor": {TrustDomain: "test.local", Anchors: [][]byte{s.SVID().Leaf().Raw}},
		"far too many":  {TrustDomain: "test.local", Anchors: make([][]byte, 100)},
	} {
		if err := s.SetBundle(b); err == nil {
			t.Errorf("%s: accepted", name)
		}
		if len(s.Bundle().Anchors) != 1 {
			t.Errorf("%s: the old bundle went", name)
		}
	}
}
