// Package identitytest owns a certificate authority for tests: everything is
// in memory, and it makes bad certificates as willingly as good ones.
package identitytest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net/url"
	"testing"
	"time"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
)

// CA is a root and an issuer below it.
type CA struct {
	TrustDomain mesh.TrustDomain
	Root        *x509.Certificate
	Issuer      *x509.Certificate
	issuerKey   *ecdsa.PrivateKey
}

// NewCA makes an authority of its own for a trust domain.
func NewCA(t testing.TB, td mesh.TrustDomain) *CA {
	t.Helper()
	now := time.Now()
	authority := func(name string) *x509.Certificate {
		return &x509.Certificate{
			Subject: pkix.Name{CommonName: name}, SerialNumber: serial(t),
			NotBefore: now.Add(-time.Hour), NotAfter: now.Add(24 * 365 * time.Hour),
			IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		}
	}
	rootKey, issuerKey := Key(t), Key(t)
	root := sign(t, authority("test root"), nil, rootKey, rootKey)
	issuer := sign(t, authority("test issuer"), root, issuerKey, rootKey)
	return &CA{TrustDomain: td, Root: root, Issuer: issuer, issuerKey: issuerKey}
}

// Bundle is the root as a trust bundle.
func (ca *CA) Bundle() mesh.Bundle {
	return mesh.Bundle{TrustDomain: ca.TrustDomain, Anchors: [][]byte{ca.Root.Raw}}
}

// Template is a good certificate of one hour, for tests to spoil.
func (ca *CA) Template(t testing.TB, id mesh.Identity, w mesh.WorkloadID) *x509.Certificate {
	t.Helper()
	u, err := url.Parse(string(id))
	if err != nil {
		t.Fatal(err)
	}
	return &x509.Certificate{
		Subject: pkix.Name{SerialNumber: string(w)}, SerialNumber: serial(t),
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		URIs:        []*url.URL{u}, BasicConstraintsValid: true,
	}
}

// Chain signs a template for a public key and gives leaf, issuer and root.
func (ca *CA) Chain(t testing.TB, template *x509.Certificate, pub *ecdsa.PublicKey) [][]byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Issuer, pub, ca.issuerKey)
	if err != nil {
		t.Fatal(err)
	}
	return [][]byte{der, ca.Issuer.Raw, ca.Root.Raw}
}

// SVID gives a good certificate of one hour.
func (ca *CA) SVID(t testing.TB, id mesh.Identity, w mesh.WorkloadID) identity.SVID {
	t.Helper()
	key := Key(t)
	v, err := identity.NewSVID(key, ca.Chain(t, ca.Template(t, id, w), &key.PublicKey))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Source gives a Source with a good certificate and the bundle.
func (ca *CA) Source(t testing.TB, id mesh.Identity, w mesh.WorkloadID) *identity.Source {
	t.Helper()
	s := identity.NewSource()
	if err := s.SetBundle(ca.Bundle()); err != nil {
		t.Fatal(err)
	}
	s.Set(ca.SVID(t, id, w))
	return s
}

// Key makes an ECDSA P-256 key.
func Key(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sign(t testing.TB, c, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = c
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	out, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func serial(t testing.TB) *big.Int {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
