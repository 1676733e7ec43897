package identity

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/mesh"
)

// maxAnchors bounds a bundle: a rotation needs two.
const maxAnchors = 16

// Source holds the current certificate and trust bundle. Everything made from
// it (TLS configurations) follows when they change. Safe for concurrent use.
type Source struct {
	svid  atomic.Pointer[SVID]
	trust atomic.Pointer[trust]

	// rooted has a token after the anchors changed; for the Keeper.
	rooted chan struct{}

	mu      sync.Mutex
	ready   chan struct{} // closed under mu when both are there
	isReady bool
}

// trust is a bundle in the form that verification needs.
type trust struct {
	bundle mesh.Bundle
	pool   *x509.CertPool
	// generation grows with every change, so that sessions of an earlier
	// bundle are not resumed.
	generation uint64
}

// NewSource makes an empty Source: every handshake fails until Set and
// SetBundle were called.
func NewSource() *Source { return &Source{ready: make(chan struct{}), rooted: make(chan struct{}, 1)} }

// Set puts a new certificate in place of the old one. Connections that exist
// are not touched.
func (s *Source) Set(v SVID) {
	s.svid.Store(&v)
	s.markReady()
}

// SetBundle replaces the trust anchors. A bundle that cannot be read, or is
// empty, is refused and the old one stays.
func (s *Source) SetBundle(b mesh.Bundle) error {
	pool, err := readBundle(b)
	if err != nil {
		return err
	}
	s.mu.Lock()
	old := s.trust.Load()
	switch {
	case old == nil:
		s.trust.Store(&trust{bundle: b, pool: pool, generation: 1})
	case !sameBundle(old.bundle, b):
		s.trust.Store(&trust{bundle: b, pool: pool, generation: old.generation + 1})
		select {
		case s.rooted <- struct{}{}:
		default:
		}
	}
	s.mu.Unlock()
	s.markReady()
	return nil
}

// SVID gives the current certificate, or nil before the first.
func (s *Source) SVID() *SVID { return s.svid.Load() }

// Bundle gives the current trust anchors, or the zero value before the first.
func (s *Source) Bundle() mesh.Bundle {
	if t := s.trust.Load(); t != nil {
		return t.bundle
	}
	return mesh.Bundle{}
}

// orphaned says whether nobody with the anchors of now believes a certificate
// any more.
func (s *Source) orphaned(v *SVID) bool {
	t := s.trust.Load()
	if v == nil || t == nil {
		return false
	}
	err := verifyAnchored(v.Chain, t.pool, x509.ExtKeyUsageClientAuth)
	if err == nil {
		return false
	}
	kind, _ := explain(err)
	return kind == UnknownAuthority
}

// Ready is closed once a certificate and a bundle are there.
func (s *Source) Ready() <-chan struct{} { return s.ready }

func (s *Source) markReady() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.isReady && s.svid.Load() != nil && s.trust.Load() != nil {
		s.isReady = true
		close(s.ready)
	}
}

// usable gives the certificate to show in a handshake, or why there is none:
// an expired one is not shown, so that the failure has its reason on our side.
func (s *Source) usable() (*tls.Certificate, error) {
	v := s.svid.Load()
	if v == nil {
		return nil, &VerifyError{Kind: OwnCertificate, Err: errors.New("no certificate yet")}
	}
	if v.Expired(time.Now()) {
		return nil, &VerifyError{Kind: OwnCertificate, Err: fmt.Errorf("own certificate expired at %s", v.Expires().Format(time.RFC3339))}
	}
	return v.Certificate, nil
}

func readBundle(b mesh.Bundle) (*x509.CertPool, error) {
	if !mesh.ValidTrustDomain(string(b.TrustDomain)) {
		return nil, fmt.Errorf("trust bundle: bad trust domain %q", b.TrustDomain)
	}
	if n := len(b.Anchors); n == 0 || n > maxAnchors {
		return nil, fmt.Errorf("trust bundle: %d anchors; want 1 to %d", n, maxAnchors)
	}
	pool := x509.NewCertPool()
	for _, der := range b.Anchors {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("trust bundle: %w", err)
		}
		if !c.IsCA {
			return nil, fmt.Errorf("trust bundle: %q is not a certificate authority", c.Subject)
		}
		pool.AddCert(c)
	}
	return pool, nil
}

func sameBundle(a, b mesh.Bundle) bool {
	return a.TrustDomain == b.TrustDomain && slices.EqualFunc(a.Anchors, b.Anchors, bytes.Equal)
}
