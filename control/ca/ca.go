// Package ca owns the mesh's certificate authority: it signs workload
// certificates with an issuer that a trust anchor vouches for.
//
// Where anchor and issuer come from is behind the Roots interface. Dir keeps
// its own in a directory. On Kubernetes they are in Secrets: kube/authority
// reads those into a Live.
package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"time"

	"github.com/leno-mesh/leno/mesh"
)

// Lifetimes of workload certificates.
const (
	DefaultLifetime = 24 * time.Hour
	MinLifetime     = 5 * time.Second
	// maxBackdate is how far before now a certificate begins, for clocks that
	// are behind ours; short-lived certificates begin a tenth of their life
	// before now.
	maxBackdate = 5 * time.Minute
	// MaxCSR bounds a certificate request, in bytes.
	MaxCSR = 16 << 10
)

// Issuer signs leaves.
type Issuer struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
	// Above are the issuer's issuers up to and with the anchor; none when the
	// issuer is the anchor itself.
	Above []*x509.Certificate
}

// Roots gives the anchors and the issuer of the moment. It is safe for
// concurrent use.
type Roots interface {
	Bundle() mesh.Bundle
	Issuer() (*Issuer, error)
	// Changed gives a channel that is closed when bundle or issuer have
	// changed since the call.
	Changed() <-chan struct{}
}

// Config says what the authority signs with.
type Config struct {
	Roots Roots
	// Lifetime of workload certificates: DefaultLifetime when zero, at least
	// MinLifetime.
	Lifetime time.Duration
}

// CA signs certificates. Safe for concurrent use.
type CA struct {
	roots    Roots
	lifetime time.Duration
}

// New makes a CA.
func New(cfg Config) (*CA, error) {
	if cfg.Lifetime == 0 {
		cfg.Lifetime = DefaultLifetime
	}
	if cfg.Lifetime < MinLifetime {
		return nil, fmt.Errorf("certificate lifetime %s is too short; the least is %s", cfg.Lifetime, MinLifetime)
	}
	return &CA{roots: cfg.Roots, lifetime: cfg.Lifetime}, nil
}

// Bundle gives the current trust anchors.
func (ca *CA) Bundle() mesh.Bundle { return ca.roots.Bundle() }

// Changed is closed when bundle or issuer have changed since the call.
func (ca *CA) Changed() <-chan struct{} { return ca.roots.Changed() }

// Current says whether a chain is by the issuer of now.
func (ca *CA) Current(chain []*x509.Certificate) (bool, error) {
	issuer, err := ca.roots.Issuer()
	if err != nil {
		return false, err
	}
	return len(chain) > 1 && chain[1].Equal(issuer.Certificate), nil
}

// Anchored gives the chain of a certificate that Issue made, with the anchor
// at its end: for those who know only the anchor's hash.
func (ca *CA) Anchored(chain [][]byte) ([][]byte, error) {
	issuer, err := ca.roots.Issuer()
	if err != nil || len(issuer.Above) == 0 {
		return chain, err
	}
	return append(chain, issuer.Above[len(issuer.Above)-1].Raw), nil
}

// Lifetime is how long a certificate lives whose workload asked for this much,
// or for nothing in particular with 0.
func (ca *CA) Lifetime(asked time.Duration) time.Duration {
	if asked <= 0 {
		return ca.lifetime
	}
	return min(max(asked, MinLifetime), ca.lifetime)
}

// Subject is who a certificate is for.
type Subject struct {
	Identity mesh.Identity
	Workload mesh.WorkloadID
	// Lifetime may be shorter than that of others; 0: as theirs.
	Lifetime time.Duration
}

// Issue signs a certificate for the key in a request (PKCS #10, DER). Whatever
// else the request asks for is ignored: the subject is the caller's decision.
// It gives the chain in DER, leaf first, without the anchor: peers have that
// in their bundle.
//
// The leaf never ends after any certificate above it.
func (ca *CA) Issue(csr []byte, who Subject) ([][]byte, error) {
	key, err := ReadCSR(csr)
	if err != nil {
		return nil, err
	}
	issuer, err := ca.roots.Issuer()
	if err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	tmpl, err := ca.template(who, time.Now(), issuer)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.CreateCertificate(rand.Reader, tmpl, issuer.Certificate, key, issuer.Key)
	if err != nil {
		return nil, fmt.Errorf("sign certificate: %w", err)
	}
	chain := [][]byte{leaf, issuer.Certificate.Raw}
	for _, c := range issuer.Above[:max(len(issuer.Above)-1, 0)] {
		chain = append(chain, c.Raw)
	}
	return chain, nil
}

// ReadCSR checks a request's signature, so that its sender holds the key, and
// gives the key. Only ECDSA P-256 is taken.
func ReadCSR(der []byte) (*ecdsa.PublicKey, error) {
	if len(der) > MaxCSR {
		return nil, fmt.Errorf("certificate request of %d bytes; at most %d", len(der), MaxCSR)
	}
	csr, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	key, ok := csr.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("certificate request: key is not ECDSA P-256")
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, fmt.Errorf("certificate request: %w", err)
	}
	return key, nil
}

func (ca *CA) template(who Subject, now time.Time, issuer *Issuer) (*x509.Certificate, error) {
	if _, err := mesh.ParseIdentity(string(who.Identity)); err != nil {
		return nil, err
	}
	uri, err := url.Parse(string(who.Identity))
	if err != nil {
		return nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	life := ca.Lifetime(who.Lifetime)
	end := now.Add(life)
	for _, c := range append([]*x509.Certificate{issuer.Certificate}, issuer.Above...) {
		if c.NotAfter.Before(end) {
			end = c.NotAfter
		}
	}
	if !end.After(now) {
		return nil, fmt.Errorf("issuer expired at %s", end.Format(time.RFC3339))
	}
	return &x509.Certificate{
		SerialNumber: serial,
		// The workload's ID is the subject's serialNumber (RFC 4519, 2.31).
		Subject:               pkix.Name{SerialNumber: string(who.Workload)},
		NotBefore:             now.Add(-min(life/10, maxBackdate)),
		NotAfter:              end,
		URIs:                  []*url.URL{uri},
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}, nil
}

// newSerial gives 127 random bits (RFC 5280, section 4.1.2.2: at most 20
// octets, positive).
func newSerial() (*big.Int, error) {
	return rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
}
