package identity

import (
	"errors"

	"github.com/leno-mesh/leno/mesh"
)

// VerifyKind says what is wrong with a certificate.
type VerifyKind string

// What can be wrong with a peer, and with ourselves.
const (
	// NoCertificate: the peer showed none.
	NoCertificate VerifyKind = "no-certificate"
	// BadCertificate: not an X.509-SVID, or not fit for this use.
	BadCertificate VerifyKind = "bad-certificate"
	// Expired: outside the validity of a certificate in the chain.
	Expired VerifyKind = "expired"
	// UnknownAuthority: no chain to an anchor of the current bundle.
	UnknownAuthority VerifyKind = "unknown-authority"
	// WrongIdentity: a good certificate of somebody else.
	WrongIdentity VerifyKind = "wrong-identity"
	// WrongWorkload: the right identity, but another instance.
	WrongWorkload VerifyKind = "wrong-workload"
	// OwnCertificate: we hold no certificate, or ours has expired.
	OwnCertificate VerifyKind = "own-certificate"
)

// VerifyError is why a peer was not believed. The handshake ends with it.
type VerifyError struct {
	Kind VerifyKind
	// Peer is who the certificate names, as far as it could be read.
	Peer mesh.Identity
	Err  error
}

// Error gives "kind: detail".
func (e *VerifyError) Error() string { return string(e.Kind) + ": " + e.Err.Error() }

// Unwrap gives the detail.
func (e *VerifyError) Unwrap() error { return e.Err }

// KindOf gives the kind of a VerifyError inside err, or "".
func KindOf(err error) VerifyKind {
	var v *VerifyError
	if errors.As(err, &v) {
		return v.Kind
	}
	return ""
}

// RefusedError is the authority's considered no. Asking again with the same
// proof gives the same answer.
type RefusedError struct{ Err error }

// Error gives the authority's words.
func (e *RefusedError) Error() string { return "the control plane refused: " + e.Err.Error() }

// Unwrap gives the authority's words.
func (e *RefusedError) Unwrap() error { return e.Err }
