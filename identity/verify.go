package identity

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/leno-mesh/leno/mesh"
)

// maxChain bounds the certificates that a peer may show: leaf, issuers, root.
const maxChain = 6

// Expect says who must be at the other end. Empty fields accept anybody whom
// the bundle vouches for.
type Expect struct {
	Identity mesh.Identity
	Workload mesh.WorkloadID
	// Sessions keeps TLS sessions for resumption. They are filed under
	// Workload (or Identity), so a session is never offered to another
	// workload, whatever its address. Nil means no resumption.
	Sessions tls.ClientSessionCache
}

// Peer says who is at the other end of a connection that this package's
// configurations accepted.
func Peer(cs tls.ConnectionState) (mesh.Identity, mesh.WorkloadID, error) {
	if len(cs.PeerCertificates) == 0 {
		return "", "", &VerifyError{Kind: NoCertificate, Err: errors.New("peer showed no certificate")}
	}
	id, w, err := names(cs.PeerCertificates[0])
	if err != nil {
		return "", "", &VerifyError{Kind: BadCertificate, Err: err}
	}
	return id, w, nil
}

// verify judges a peer's certificates. It is called for every handshake, full
// or resumed, and always uses the bundle of this moment.
func (s *Source) verify(certs []*x509.Certificate, usage x509.ExtKeyUsage, want Expect) error {
	t := s.trust.Load()
	if t == nil {
		return &VerifyError{Kind: OwnCertificate, Err: errors.New("no trust bundle yet")}
	}
	return verifyChain(certs, t.pool, t.bundle.TrustDomain, usage, want)
}

func verifyChain(certs []*x509.Certificate, roots *x509.CertPool, td mesh.TrustDomain, usage x509.ExtKeyUsage, want Expect) error {
	if len(certs) == 0 {
		return &VerifyError{Kind: NoCertificate, Err: errors.New("peer showed no certificate")}
	}
	leaf := certs[0]
	id, workload, err := names(leaf)
	fail := func(kind VerifyKind, err error) error {
		return &VerifyError{Kind: kind, Peer: id, Err: err}
	}
	switch {
	case err != nil:
		return fail(BadCertificate, err)
	case len(certs) > maxChain:
		return fail(BadCertificate, fmt.Errorf("chain of %d certificates; want at most %d", len(certs), maxChain))
	case leaf.IsCA || leaf.KeyUsage&x509.KeyUsageDigitalSignature == 0 || leaf.KeyUsage&(x509.KeyUsageCertSign|x509.KeyUsageCRLSign) != 0:
		return fail(BadCertificate, errors.New("certificate may not be used as a leaf (X509-SVID, section 4)"))
	}
	if err := verifyAnchored(certs, roots, usage); err != nil {
		kind, err := explain(err)
		return fail(kind, err)
	}
	switch {
	case id.Parts().TrustDomain != td:
		return fail(WrongIdentity, fmt.Errorf("peer is %s of another trust domain; want %s", id, td))
	case want.Identity != "" && id != want.Identity:
		return fail(WrongIdentity, fmt.Errorf("peer is %s; want %s", id, want.Identity))
	case want.Workload != "" && workload != want.Workload:
		return fail(WrongWorkload, fmt.Errorf("peer is workload %q; want %q", workload, want.Workload))
	}
	return nil
}

func verifyAnchored(certs []*x509.Certificate, roots *x509.CertPool, usage x509.ExtKeyUsage) error {
	issuers := x509.NewCertPool()
	for _, c := range certs[1:] {
		issuers.AddCert(c)
	}
	_, err := certs[0].Verify(x509.VerifyOptions{
		Roots:         roots,
		Intermediates: issuers,
		CurrentTime:   time.Now(),
		KeyUsages:     []x509.ExtKeyUsage{usage},
	})
	return err
}

// explain turns an error of crypto/x509 into our kind.
func explain(err error) (VerifyKind, error) {
	var invalid x509.CertificateInvalidError
	if errors.As(err, &invalid) {
		if invalid.Reason == x509.Expired {
			return Expired, fmt.Errorf("certificate of %q is valid from %s to %s, it is %s",
				invalid.Cert.Subject, invalid.Cert.NotBefore.Format(time.RFC3339),
				invalid.Cert.NotAfter.Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339))
		}
		return BadCertificate, err
	}
	var unknown x509.UnknownAuthorityError
	if errors.As(err, &unknown) {
		return UnknownAuthority, err
	}
	return BadCertificate, err
}
