package identity

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/leno-mesh/leno/mesh"
)

// AnchorHash is the SHA-256 of a root certificate's DER form. It is written
// as "sha256:" and 64 hexadecimal digits.
type AnchorHash [sha256.Size]byte

// HashAnchor gives the hash of a root certificate.
func HashAnchor(der []byte) AnchorHash { return sha256.Sum256(der) }

// String gives the written form.
func (h AnchorHash) String() string { return "sha256:" + hex.EncodeToString(h[:]) }

// MarshalText writes the written form.
func (h AnchorHash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads the written form.
func (h *AnchorHash) UnmarshalText(text []byte) error {
	digits, ok := strings.CutPrefix(string(text), "sha256:")
	b, err := hex.DecodeString(digits)
	if !ok || err != nil || len(b) != len(h) {
		return fmt.Errorf("anchor hash %q: want sha256: and %d hexadecimal digits", text, 2*len(h))
	}
	copy(h[:], b)
	return nil
}

// anchorTLS is for the very first connection: the server shows its chain with
// the root, the root must be the one of the join file, and everything else is
// judged by that root. Only a connection that passed carries the token.
func anchorTLS(anchor AnchorHash, td mesh.TrustDomain, alpn ...string) *tls.Config {
	c := base(alpn)
	c.InsecureSkipVerify = true // VerifyConnection does all the checking
	c.VerifyConnection = func(cs tls.ConnectionState) error {
		root := findAnchor(cs.PeerCertificates, anchor)
		if root == nil {
			return &VerifyError{Kind: UnknownAuthority, Err: errors.New("no certificate of the server's chain is the trust anchor of the join file")}
		}
		pool := x509.NewCertPool()
		pool.AddCert(root)
		return verifyChain(cs.PeerCertificates, pool, td, x509.ExtKeyUsageServerAuth, Expect{Identity: ServerIdentity(td)})
	}
	return c
}

func findAnchor(certs []*x509.Certificate, anchor AnchorHash) *x509.Certificate {
	for _, c := range certs {
		if HashAnchor(c.Raw) == anchor {
			return c
		}
	}
	return nil
}

// checkBundle makes sure that the first bundle, which came over an anchored
// connection, contains that anchor.
func checkBundle(b mesh.Bundle, anchor AnchorHash) error {
	for _, der := range b.Anchors {
		if HashAnchor(der) == anchor {
			return nil
		}
	}
	return errors.New("the server's trust bundle does not contain the trust anchor of the join file")
}
