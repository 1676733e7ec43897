package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"net/url"
	"time"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
)

// Lifetimes of the authority's own certificates.
const (
	anchorLifetime        = 10 * 365 * 24 * time.Hour
	DefaultIssuerLifetime = 90 * 24 * time.Hour
)

// Pair is the key of an authority with its certificate.
type Pair struct {
	Key         crypto.Signer
	Certificate *x509.Certificate
}

// NewAnchor makes a trust anchor.
func NewAnchor(td mesh.TrustDomain, now time.Time) (Pair, error) {
	return newAuthority("Leno trust anchor", td, anchorLifetime, now, nil)
}

// NewIssuer makes an issuer under an anchor of ours. It ends with the anchor
// at the latest.
func NewIssuer(td mesh.TrustDomain, anchor Pair, life time.Duration, now time.Time) (Pair, error) {
	return newAuthority("Leno issuer", td, life, now, &anchor)
}

// HalfLife is when the next one should be made.
func (p Pair) HalfLife() time.Time {
	c := p.Certificate
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 2)
}

// PEM gives the certificate and, in PKCS #8 form, the key.
func (p Pair) PEM() (cert, key []byte, err error) {
	der, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate.Raw}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

// newAuthority signs an authority's certificate: by parent, or by itself.
func newAuthority(name string, td mesh.TrustDomain, life time.Duration, now time.Time, parent *Pair) (Pair, error) {
	key, err := identity.NewKey()
	if err != nil {
		return Pair{}, err
	}
	serial, err := newSerial()
	if err != nil {
		return Pair{}, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"Leno"}, CommonName: name},
		// An authority's SPIFFE ID is its trust domain (X509-SVID, 3.1).
		URIs:      []*url.URL{{Scheme: "spiffe", Host: string(td)}},
		NotBefore: now.Add(-min(life/10, time.Hour)), NotAfter: now.Add(life),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: 1,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	by := Pair{Key: key, Certificate: tmpl}
	if parent != nil {
		by = *parent
		tmpl.MaxPathLen, tmpl.MaxPathLenZero = 0, true
		if by.Certificate.NotAfter.Before(tmpl.NotAfter) {
			tmpl.NotAfter = by.Certificate.NotAfter
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, by.Certificate, &key.PublicKey, by.Key)
	if err != nil {
		return Pair{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return Pair{Key: key, Certificate: cert}, err
}

// domainOf reads the trust domain that an authority names, "" when it names
// none: those of other makers need not.
func domainOf(c *x509.Certificate) mesh.TrustDomain {
	for _, u := range c.URIs {
		if u.Scheme == "spiffe" {
			return mesh.TrustDomain(u.Host)
		}
	}
	return ""
}

func namesDomain(c *x509.Certificate, td mesh.TrustDomain) bool {
	return len(c.URIs) == 1 && domainOf(c) == td
}
