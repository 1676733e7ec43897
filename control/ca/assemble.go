package ca

import (
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
)

// maxCertificates bounds what one text may hold: a rotation has two anchors.
const maxCertificates = 16

// ErrDates says that material is not valid at the time.
var ErrDates = errors.New("that is not now")

// ParseCertificates reads all certificates of a PEM text, at least one.
func ParseCertificates(text []byte) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, err
		}
		if all = append(all, c); len(all) > maxCertificates {
			return nil, fmt.Errorf("more than %d certificates", maxCertificates)
		}
	}
	if len(all) == 0 {
		return nil, errors.New("no certificate in it")
	}
	return all, nil
}

// ParsePair reads an authority's certificate, which comes first, with its key;
// both are PEM texts. The certificates after the first are given too.
func ParsePair(cert, key []byte) (Pair, []*x509.Certificate, error) {
	all, err := ParseCertificates(cert)
	if err != nil {
		return Pair{}, nil, fmt.Errorf("certificate: %w", err)
	}
	kp, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return Pair{}, nil, err
	}
	signer, ok := kp.PrivateKey.(crypto.Signer)
	if !ok {
		return Pair{}, nil, errors.New("key cannot sign")
	}
	return Pair{Key: signer, Certificate: all[0]}, all[1:], nil
}

// Assemble makes an issuer of material that may be of any origin, and tries it
// out: a leaf signed by it must pass the checks that every proxy makes. Between
// are the certificates between issuer and anchor.
func Assemble(td mesh.TrustDomain, anchors []*x509.Certificate, by Pair, between []*x509.Certificate, now time.Time) (mesh.Bundle, *Issuer, error) {
	fail := func(err error) (mesh.Bundle, *Issuer, error) { return mesh.Bundle{}, nil, err }
	bundle := mesh.Bundle{TrustDomain: td}
	roots, path := x509.NewCertPool(), x509.NewCertPool()
	for _, a := range anchors {
		if other := domainOf(a); other != "" && other != td {
			return fail(fmt.Errorf("trust anchor %q is of trust domain %s, not %s; a trust domain cannot be changed in place", a.Subject, other, td))
		}
		bundle.Anchors = append(bundle.Anchors, a.Raw)
		roots.AddCert(a)
	}
	for _, c := range between {
		path.AddCert(c)
	}
	// Every proxy refuses a bundle that this refuses.
	if err := identity.NewSource().SetBundle(bundle); err != nil {
		return fail(err)
	}
	path.AddCert(by.Certificate)
	leaf, err := trialLeaf(td, by, now)
	if err != nil {
		return fail(fmt.Errorf("issuer cannot sign: %w", err))
	}
	chains, err := leaf.Verify(x509.VerifyOptions{
		Roots: roots, Intermediates: path, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
	for _, c := range append(append([]*x509.Certificate{by.Certificate}, between...), anchors...) {
		if err != nil && (now.Before(c.NotBefore) || now.After(c.NotAfter)) {
			return fail(fmt.Errorf("certificate of %q is valid from %s to %s: %w",
				c.Subject, c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339), ErrDates))
		}
	}
	if err != nil {
		return fail(fmt.Errorf("nobody would believe what issuer %q signs: %w", by.Certificate.Subject, err))
	}
	chain := shortest(chains)
	return bundle, &Issuer{Certificate: by.Certificate, Key: by.Key, Above: chain[2:]}, nil
}

// shortest gives the chain with the fewest certificates: leaf, issuer, what is
// between, anchor.
func shortest(chains [][]*x509.Certificate) []*x509.Certificate {
	best := chains[0]
	for _, c := range chains[1:] {
		if len(c) < len(best) {
			best = c
		}
	}
	return best
}

// trialLeaf signs a certificate that is thrown away. Its key is not kept.
func trialLeaf(td mesh.TrustDomain, by Pair, now time.Time) (*x509.Certificate, error) {
	key, err := identity.NewKey()
	if err != nil {
		return nil, err
	}
	ca := &CA{lifetime: MinLifetime}
	who := Subject{Identity: mesh.NewIdentity(td, "leno", "trial"), Workload: "trial"}
	tmpl, err := ca.template(who, now, &Issuer{Certificate: &x509.Certificate{NotAfter: now.Add(MinLifetime)}})
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, by.Certificate, &key.PublicKey, by.Key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}
