package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// NewKey makes a fresh ECDSA P-256 key.
func NewKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// NewCSR makes a certificate request (PKCS #10, DER). It carries the key and
// nothing else: who the certificate is for, the authority decides.
func NewCSR(key *ecdsa.PrivateKey) ([]byte, error) {
	return x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
}

// Proof shows that the sender of a request holds the key of a certificate
// that may have expired, so that it can be renewed all the same.
type Proof struct {
	// Chain is the old certificate and its issuers, DER, leaf first.
	Chain [][]byte
	// SignedAt bounds how long the proof can be used; whole seconds count.
	SignedAt time.Time
	// Signature is ECDSA (ASN.1) by the old key over proofDigest.
	Signature []byte
}

// proofWindow is how far a proof's time may be from the authority's.
const proofWindow = 10 * time.Minute

// NewProof signs a new request with the key of an old certificate.
func NewProof(old *SVID, csr []byte, now time.Time) (*Proof, error) {
	sig, err := ecdsa.SignASN1(rand.Reader, old.key(), proofDigest(csr, now))
	if err != nil {
		return nil, err
	}
	return &Proof{Chain: old.Certificate.Certificate, SignedAt: now, Signature: sig}, nil
}

// Verify checks the signature and its time, and gives the old certificate. It
// does not judge that certificate's chain or dates.
//
// There is no nonce: a proof sent again can only yield a certificate for the
// same new key, and only until that key's owner has renewed once more.
func (p *Proof) Verify(csr []byte, now time.Time) (*x509.Certificate, error) {
	if len(p.Chain) == 0 || len(p.Chain) > maxChain {
		return nil, fmt.Errorf("proof has %d certificates; want 1 to %d", len(p.Chain), maxChain)
	}
	leaf, err := x509.ParseCertificate(p.Chain[0])
	if err != nil {
		return nil, fmt.Errorf("proof: %w", err)
	}
	pub, ok := leaf.PublicKey.(*ecdsa.PublicKey)
	if !ok || !ecdsa.VerifyASN1(pub, proofDigest(csr, p.SignedAt), p.Signature) {
		return nil, errors.New("proof is not signed by the key of its certificate")
	}
	if age := now.Sub(p.SignedAt); age > proofWindow || age < -proofWindow {
		return nil, fmt.Errorf("proof was signed at %s, it is %s: the clocks differ too much",
			p.SignedAt.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return leaf, nil
}

func proofDigest(csr []byte, at time.Time) []byte {
	h := sha256.New()
	h.Write([]byte("leno renewal 1\x00"))
	h.Write(binary.BigEndian.AppendUint64(nil, uint64(at.Unix())))
	h.Write(csr)
	return h.Sum(nil)
}

// KeyHash is the SHA-256 of a public key's SubjectPublicKeyInfo: how the
// authority remembers a key.
type KeyHash [sha256.Size]byte

// MarshalText writes the hash as hexadecimal digits.
func (h KeyHash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads hexadecimal digits.
func (h *KeyHash) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(h) {
		return fmt.Errorf("key hash of %d digits; want %d", len(text), 2*len(h))
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// HashKey gives the hash of an encoded public key, such as
// x509.Certificate.RawSubjectPublicKeyInfo.
func HashKey(spki []byte) KeyHash { return sha256.Sum256(spki) }
