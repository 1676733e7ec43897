package ca

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const td = mesh.TrustDomain("test.local")

var web = Subject{Identity: mesh.NewIdentity(td, "shop", "web"), Workload: "web-1"}

func open(t testing.TB, path string) *Dir {
	t.Helper()
	d, err := OpenDir(DirConfig{Path: path, TrustDomain: td})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func newCSR(t testing.TB) []byte {
	t.Helper()
	key, err := identity.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	csr, err := identity.NewCSR(key)
	if err != nil {
		t.Fatal(err)
	}
	return csr
}

func issue(t testing.TB, ca *CA) []*x509.Certificate {
	t.Helper()
	chain, err := ca.Issue(newCSR(t), web)
	if err != nil {
		t.Fatal(err)
	}
	var out []*x509.Certificate
	for _, der := range append(chain, ca.Bundle().Anchors...) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

func TestLeafSaysOnlyWhatTheAuthorityDecided(t *testing.T) {
	ca, err := New(Config{Roots: open(t, t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	key, _ := identity.NewKey()
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject:  pkix.Name{CommonName: "root", SerialNumber: "pay-1"},
		DNSNames: []string{"evil"}, URIs: []*url.URL{{Scheme: "spiffe", Host: "test.local", Path: "/ns/shop/sa/pay"}},
	}, key)
	if err != nil {
		t.Fatal(err)
	}
	chain, err := ca.Issue(csr, web)
	if err != nil {
		t.Fatal(err)
	}
	v, err := identity.NewSVID(key, chain)
	if err != nil {
		t.Fatal(err)
	}
	leaf := v.Leaf()
	if v.ID != web.Identity || v.Workload != web.Workload || len(leaf.DNSNames) != 0 || leaf.Subject.CommonName != "" {
		t.Errorf("leaf for %s %s %v %v", v.ID, v.Workload, leaf.DNSNames, leaf.Subject)
	}
	if d := time.Since(leaf.NotBefore); d < 4*time.Minute || d > 6*time.Minute {
		t.Errorf("begins %s before now", d)
	}
	if len(v.Chain) != 2 || bytes.Equal(v.Chain[1].Raw, ca.Bundle().Anchors[0]) {
		t.Errorf("chain of %d; want leaf and issuer", len(v.Chain))
	}
}

func TestBadRequests(t *testing.T) {
	ca, err := New(Config{Roots: open(t, t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	good := newCSR(t)
	forged := bytes.Clone(good)
	forged[len(forged)-1] ^= 1
	rsaKey, _ := rsa.GenerateKey(rand.Reader, 2048)
	withRSA, _ := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, rsaKey)
	p384, _ := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	withP384, _ := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, p384)
	for name, csr := range map[string][]byte{
		"empty": nil, "forged signature": forged, "RSA": withRSA, "P-384": withP384, "huge": make([]byte, 1<<20),
	} {
		if _, err := ca.Issue(csr, web); err == nil {
			t.Errorf("%s: signed", name)
		}
	}
	if _, err := ca.Issue(good, Subject{Identity: "spiffe://test.local/admin"}); err == nil {
		t.Error("an identity of another form was signed")
	}
	if _, err := New(Config{Lifetime: time.Second}); err == nil {
		t.Error("a lifetime of one second was taken")
	}
}

// TestNoLeafOutlivesItsIssuer walks random stretches of time with random
// lifetimes: every certificate lies inside those above it and verifies.
func TestNoLeafOutlivesItsIssuer(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(r *rapid.T) {
		leafLife := time.Duration(rapid.Int64Range(int64(MinLifetime), int64(200*time.Hour)).Draw(r, "leaf"))
		issuerLife := time.Duration(rapid.Int64Range(int64(time.Minute), int64(300*time.Hour)).Draw(r, "issuer"))
		steps := rapid.SliceOfN(rapid.Int64Range(0, int64(issuerLife)), 1, 6).Draw(r, "steps")
		path, err := os.MkdirTemp(dir, "")
		if err != nil {
			r.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) {
			d, err := OpenDir(DirConfig{Path: path, TrustDomain: td, IssuerLifetime: issuerLife})
			if err != nil {
				t.Fatal(err)
			}
			ca, err := New(Config{Roots: d, Lifetime: leafLife})
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range steps {
				time.Sleep(time.Duration(s))
				checkChain(t, issue(t, ca), leafLife)
			}
		})
	})
}

// TestAskedLifetime has a workload ask for a shorter life, never a longer one.
func TestAskedLifetime(t *testing.T) {
	ca, err := New(Config{Roots: open(t, t.TempDir()), Lifetime: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	for asked, want := range map[time.Duration]time.Duration{
		0: time.Hour, time.Minute: time.Minute, 24 * time.Hour: time.Hour, time.Second: MinLifetime, -time.Minute: time.Hour,
	} {
		who := web
		who.Lifetime = asked
		before := time.Now()
		chain, err := ca.Issue(newCSR(t), who)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(chain[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := leaf.NotAfter.Sub(before.Truncate(time.Second)); got < want || got > want+time.Minute/2 {
			t.Errorf("asked for %s, got %s", asked, got)
		}
	}
}

func checkChain(t *testing.T, chain []*x509.Certificate, life time.Duration) {
	t.Helper()
	for i, c := range chain[1:] {
		if chain[i].NotAfter.After(c.NotAfter) {
			t.Fatalf("%q ends at %s, %q above it at %s", chain[i].Subject, chain[i].NotAfter, c.Subject, c.NotAfter)
		}
	}
	if left := time.Until(chain[0].NotAfter); left > life || left <= 0 {
		t.Fatalf("leaf has %s left; lifetime %s", left, life)
	}
	roots, issuers := x509.NewCertPool(), x509.NewCertPool()
	issuers.AddCert(chain[1])
	roots.AddCert(chain[2])
	if _, err := chain[0].Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: issuers, CurrentTime: time.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
	}); err != nil {
		t.Fatal(err)
	}
}

func TestIssuerRenewsItself(t *testing.T) {
	path := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		ca, _ := New(Config{Roots: open(t, path)})
		first := issue(t, ca)[1]
		time.Sleep(44 * 24 * time.Hour)
		if !issue(t, ca)[1].Equal(first) {
			t.Error("a new issuer before half of its life")
		}
		time.Sleep(2 * 24 * time.Hour)
		second := issue(t, ca)[1]
		if second.Equal(first) {
			t.Error("no new issuer after half of its life")
		}
		again, _ := New(Config{Roots: open(t, path)})
		if !issue(t, again)[1].Equal(second) {
			t.Error("a restart lost the new issuer")
		}
		// A directory that cannot be written: the issuer is used to its end.
		if err := os.RemoveAll(path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(60 * 24 * time.Hour)
		if !issue(t, ca)[1].Equal(second) {
			t.Error("an issuer that could not be kept was used")
		}
	})
}

// TestCrash stops the first start after each file operation: what is there
// then must be enough to go on from, with the same anchor if it was written.
func TestCrash(t *testing.T) {
	whole := t.TempDir()
	anchor := open(t, whole).Bundle().Anchors[0]
	anchorPEM, err := os.ReadFile(filepath.Join(whole, anchorFile))
	if err != nil {
		t.Fatal(err)
	}
	issuerPEM, err := os.ReadFile(filepath.Join(whole, issuerFile))
	if err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name  string
		files map[string][]byte
		same  bool
	}{
		{"nothing", nil, false},
		{"half of the anchor's temporary file", map[string][]byte{".anchor.pem-1": anchorPEM[:100]}, false},
		{"the anchor alone", map[string][]byte{anchorFile: anchorPEM}, true},
		{"anchor and half of the issuer's temporary file", map[string][]byte{anchorFile: anchorPEM, ".issuer.pem-1": issuerPEM[:50]}, true},
		{"all", map[string][]byte{anchorFile: anchorPEM, issuerFile: issuerPEM}, true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, b := range c.files {
				if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			d := open(t, dir)
			if same := bytes.Equal(d.Bundle().Anchors[0], anchor); same != c.same {
				t.Errorf("same anchor: %t", same)
			}
			ca, _ := New(Config{Roots: d})
			checkChain(t, issue(t, ca), DefaultLifetime)
			for _, f := range []string{anchorFile, issuerFile} {
				if st, err := os.Stat(filepath.Join(dir, f)); err != nil || st.Mode().Perm() != 0o600 {
					t.Errorf("%s: %v, %v", f, st.Mode(), err)
				}
			}
		})
	}
}

// TestOtherAnchors changes the root as docs/operate/systemd.md says: known
// beside the old one, then in front of it, then alone.
func TestOtherAnchors(t *testing.T) {
	dir := t.TempDir()
	old := open(t, dir).Bundle().Anchors[0]
	next, err := NewAnchor(td, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := next.PEM()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, anchorFile)
	was, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	oldCert := was[bytes.Index(was, []byte("-----BEGIN CERTIFICATE")):]
	raw := next.Certificate.Raw
	for _, step := range []struct {
		name  string
		file  [][]byte
		trust [][]byte // the first one signs
	}{
		{"known", [][]byte{was, cert}, [][]byte{old, raw}},
		{"in front", [][]byte{key, cert, oldCert}, [][]byte{raw, old}},
		{"alone", [][]byte{key, cert}, [][]byte{raw}},
	} {
		if err := os.WriteFile(path, bytes.Join(step.file, nil), 0o600); err != nil {
			t.Fatal(err)
		}
		d := open(t, dir)
		if got := d.Bundle().Anchors; !slices.EqualFunc(got, step.trust, bytes.Equal) {
			t.Errorf("%s: %d anchors, or others than wanted", step.name, len(got))
		}
		ca, _ := New(Config{Roots: d})
		checkChain(t, issue(t, ca), DefaultLifetime)
	}
	foreign, err := NewAnchor("else.local", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if cert, _, err = foreign.PEM(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Join([][]byte{was, cert}, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenDir(DirConfig{Path: dir, TrustDomain: td}); err == nil || !strings.Contains(err.Error(), "else.local") {
		t.Errorf("an anchor of another trust domain: %v", err)
	}
}

func TestDamage(t *testing.T) {
	spoil := map[string]func(dir string) error{
		"anchor lost":           func(d string) error { return os.Remove(filepath.Join(d, anchorFile)) },
		"anchor damaged":        func(d string) error { return os.WriteFile(filepath.Join(d, anchorFile), []byte("x"), 0o600) },
		"issuer damaged":        func(d string) error { return os.WriteFile(filepath.Join(d, issuerFile), []byte("x"), 0o600) },
		"anchor read by others": func(d string) error { return os.Chmod(filepath.Join(d, anchorFile), 0o644) },
		"key of something else": func(d string) error { return mixKeys(d) },
	}
	for name, f := range spoil {
		dir := t.TempDir()
		open(t, dir)
		if err := f(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenDir(DirConfig{Path: dir, TrustDomain: td}); err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dir := t.TempDir()
	open(t, dir)
	if _, err := OpenDir(DirConfig{Path: dir, TrustDomain: "else.local"}); err == nil {
		t.Error("another trust domain was taken")
	}
}

// mixKeys puts the issuer's key in front of the anchor's certificate.
func mixKeys(dir string) error {
	a, err := os.ReadFile(filepath.Join(dir, anchorFile))
	if err != nil {
		return err
	}
	i, err := os.ReadFile(filepath.Join(dir, issuerFile))
	if err != nil {
		return err
	}
	cut := []byte("-----BEGIN CERTIFICATE")
	key, _, _ := bytes.Cut(i, cut)
	_, cert, _ := bytes.Cut(a, cut)
	return os.WriteFile(filepath.Join(dir, anchorFile), bytes.Join([][]byte{key, cut, cert}, nil), 0o600)
}

func FuzzReadCSR(f *testing.F) {
	f.Add(newCSR(f))
	f.Fuzz(func(t *testing.T, b []byte) {
		key, err := ReadCSR(b)
		if err == nil && key.Curve != elliptic.P256() {
			t.Fatal("another curve")
		}
	})
}
