package authority

import (
	"crypto/x509"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leno-mesh/leno/control/ca"
	"github.com/leno-mesh/leno/mesh"
)

// The Secrets, in Leno's namespace. Both may be given by the operator.
const (
	// AnchorSecret holds the trust anchors in tls.crt. The key of the first is
	// in tls.key where Leno is to renew the issuer.
	AnchorSecret = "leno-trust-anchor"
	// IssuerSecret holds the issuer, then what is between it and the anchor, in
	// tls.crt, and its key in tls.key. Without an AnchorSecret the anchors are
	// in ca.crt: this is the form in which cert-manager keeps a Secret.
	IssuerSecret = "leno-issuer"
)

const (
	certKey    = corev1.TLSCertKey
	privateKey = corev1.TLSPrivateKeyKey
	caKey      = "ca.crt"

	// certManager marks Secrets that cert-manager keeps, and renews.
	certManager = "cert-manager.io/certificate-name"
)

// labels are on everything that Leno makes in a cluster by itself.
func labels() map[string]string {
	return map[string]string{"app.kubernetes.io/part-of": "leno", "app.kubernetes.io/managed-by": "leno-server"}
}

// material is what the two Secrets say, checked.
type material struct {
	anchors []*x509.Certificate
	bundle  mesh.Bundle
	issuer  *ca.Issuer
	by      ca.Pair // the issuer again, with its dates
	// anchor signs the next issuer; nil when that is not Leno's to make.
	anchor *ca.Pair
	// kept is the name by which cert-manager keeps the issuer, if it does.
	kept string
}

// read makes material of the Secrets; anchor may be nil.
func read(td mesh.TrustDomain, anchor, issuer *corev1.Secret, now time.Time) (*material, error) {
	text, from := issuer.Data[caKey], IssuerSecret+"/"+caKey
	if anchor != nil {
		text, from = anchor.Data[certKey], AnchorSecret+"/"+certKey
	} else if len(text) == 0 {
		return nil, lostAnchor()
	}
	anchors, err := ca.ParseCertificates(text)
	if err != nil {
		return nil, fmt.Errorf("trust anchor in Secret %s: %w", from, err)
	}
	m := &material{anchors: anchors}
	by, between, err := ca.ParsePair(issuer.Data[certKey], issuer.Data[privateKey])
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", IssuerSecret, err)
	}
	m.by = by
	if m.bundle, m.issuer, err = ca.Assemble(td, anchors, by, between, now); err != nil {
		return nil, fmt.Errorf("secrets %s and %s: %w", AnchorSecret, IssuerSecret, err)
	}
	if m.kept = issuer.Annotations[certManager]; m.kept == "" {
		m.anchor, err = signer(anchor)
	}
	return m, err
}

// lostAnchor is not a first start: a new anchor would silently lock out every
// workload.
func lostAnchor() error {
	return fmt.Errorf("there is a Secret %s, but no %s and no %s in the former; restore the anchor from a backup, "+
		"or delete %s too and then restart every meshed pod", IssuerSecret, AnchorSecret, caKey, IssuerSecret)
}

// signer gives the anchor with its key, nil when the key is elsewhere.
func signer(anchor *corev1.Secret) (*ca.Pair, error) {
	if anchor == nil || len(anchor.Data[privateKey]) == 0 {
		return nil, nil
	}
	p, _, err := ca.ParsePair(anchor.Data[certKey], anchor.Data[privateKey])
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", AnchorSecret, err)
	}
	return &p, nil
}

// fill puts an authority that Leno made into a Secret.
func fill(s *corev1.Secret, p ca.Pair) error {
	cert, key, err := p.PEM()
	if err != nil {
		return err
	}
	s.Data = map[string][]byte{certKey: cert, privateKey: key}
	return nil
}

func newSecret(namespace, name string, p ca.Pair) (*corev1.Secret, error) {
	s := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: labels()},
		Type:       corev1.SecretTypeTLS,
	}
	return s, fill(s, p)
}
