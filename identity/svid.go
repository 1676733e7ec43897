package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/leno-mesh/leno/mesh"
)

// SVID is a certificate with its key: what a workload proves itself with. It
// is never changed after it was made.
type SVID struct {
	ID       mesh.Identity
	Workload mesh.WorkloadID
	// Chain is the leaf first, then its issuers. The root may be missing.
	Chain []*x509.Certificate
	// Certificate is the same for crypto/tls, with the private key.
	Certificate *tls.Certificate
}

// NewSVID reads a chain of DER certificates, leaf first, and checks that the
// key belongs to the leaf and that the leaf names one identity.
func NewSVID(key crypto.Signer, chain [][]byte) (SVID, error) {
	if len(chain) == 0 {
		return SVID{}, errors.New("certificate chain is empty")
	}
	s := SVID{Certificate: &tls.Certificate{Certificate: chain, PrivateKey: key}}
	for _, der := range chain {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return SVID{}, fmt.Errorf("read certificate chain: %w", err)
		}
		s.Chain = append(s.Chain, c)
	}
	leaf := s.Chain[0]
	s.Certificate.Leaf = leaf
	pub, ok := key.Public().(*ecdsa.PublicKey)
	if !ok || !pub.Equal(leaf.PublicKey) {
		return SVID{}, errors.New("certificate is for another key")
	}
	var err error
	s.ID, s.Workload, err = names(leaf)
	return s, err
}

// Leaf is the workload's own certificate.
func (s *SVID) Leaf() *x509.Certificate { return s.Chain[0] }

// Expires is when the first certificate of the chain ends.
func (s *SVID) Expires() time.Time {
	end := s.Chain[0].NotAfter
	for _, c := range s.Chain[1:] {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	return end
}

// Expired says whether the SVID can no longer be used at the given time.
func (s *SVID) Expired(now time.Time) bool { return now.After(s.Expires()) }

// key gives the private key; NewSVID made sure that it signs.
func (s *SVID) key() *ecdsa.PrivateKey {
	k, _ := s.Certificate.PrivateKey.(*ecdsa.PrivateKey)
	return k
}

// names reads who a leaf speaks for: the identity in its only URI SAN and the
// workload ID in its subject (X509-SVID, section 2).
func names(leaf *x509.Certificate) (mesh.Identity, mesh.WorkloadID, error) {
	if n := len(leaf.URIs); n != 1 {
		return "", "", fmt.Errorf("certificate has %d URI names; want exactly one", n)
	}
	id := leaf.URIs[0].String()
	if _, err := mesh.ParseIdentity(id); err != nil {
		return "", "", err
	}
	return mesh.Identity(id), mesh.WorkloadID(leaf.Subject.SerialNumber), nil
}
