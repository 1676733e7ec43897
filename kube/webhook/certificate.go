package webhook

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// The authority signs nothing but the webhook's certificates, and the API
// server trusts it for nothing else.
const (
	authorityLife = 10 * 365 * 24 * time.Hour
	leafLife      = 30 * 24 * time.Hour
	backdate      = time.Hour // for clocks that differ

	// overlap is how long the authority before a new one stays trusted: until
	// every server shows the new certificate, and the API server has heard.
	overlap = 10 * time.Minute
)

// The keys of the Secret. The first certificate of the authority is the one that
// signed; behind it may be the one before.
const (
	keyAuthority    = "ca.crt"
	keyAuthorityKey = "ca.key"
)

// names are those by which the API server calls the webhook.
func names(namespace string) []string {
	return []string{"leno-server." + namespace + ".svc", "leno-server." + namespace + ".svc.cluster.local"}
}

// usable gives the certificate in a Secret's data, and whether it is time for
// a new one: a third of its life is left, or it is none.
func usable(data map[string][]byte, namespace string, now time.Time) (c *tls.Certificate, due bool) {
	pair, err := tls.X509KeyPair(data[corev1.TLSCertKey], data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, true
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, true
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(data[keyAuthority]) {
		return nil, true
	}
	opts := x509.VerifyOptions{Roots: roots, DNSName: names(namespace)[0], CurrentTime: now}
	if _, err := leaf.Verify(opts); err != nil {
		return nil, true
	}
	return &pair, leaf.NotAfter.Sub(now) < leafLife/3
}

// issue makes the data of a Secret: a new certificate by the authority that is
// there, or by a new one where that is missing or soon to end. Beside a new one
// the Secret notes whom the API server trusts now, since other servers still
// show a certificate of that one.
func issue(data map[string][]byte, trusted []byte, namespace string, now time.Time) (map[string][]byte, error) {
	ca, key, err := authority(data, now)
	var before []byte
	if err != nil {
		if ca, key, err = newAuthority(now); err != nil {
			return nil, err
		}
		before = first(trusted)
	}
	leafKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	leaf := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: names(namespace)[0]}, DNSNames: names(namespace),
		NotBefore: now.Add(-backdate), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, leafKey.Public(), key)
	if err != nil {
		return nil, err
	}
	out := make(map[string][]byte)
	out[corev1.TLSCertKey] = pemOf("CERTIFICATE", der)
	out[keyAuthority] = append(pemOf("CERTIFICATE", ca.Raw), before...)
	if out[corev1.TLSPrivateKeyKey], err = pemOfKey(leafKey); err != nil {
		return nil, err
	}
	out[keyAuthorityKey], err = pemOfKey(key)
	return out, err
}

// toTrust is what the API server should trust: the authority, and while its
// first certificate is young also the one before. Someone who makes Leno change
// a key that became known is rid of the old one then.
func toTrust(data map[string][]byte, now time.Time) []byte {
	block, _ := pem.Decode(data[corev1.TLSCertKey])
	if block == nil {
		return data[keyAuthority]
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil || now.Sub(leaf.NotBefore) < backdate+overlap {
		return data[keyAuthority]
	}
	return first(data[keyAuthority])
}

// first gives the first certificate of a bundle, nothing when there is none.
func first(bundle []byte) []byte {
	block, _ := pem.Decode(bundle)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil
	}
	return pemOf(block.Type, block.Bytes)
}

var errNoAuthority = errors.New("no authority that lasts")

// authority reads the one in a Secret's data.
func authority(data map[string][]byte, now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	pair, err := tls.X509KeyPair(data[keyAuthority], data[keyAuthorityKey])
	if err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return nil, nil, err
	}
	key, ok := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !ok || !ca.IsCA || ca.NotAfter.Sub(now) < 2*leafLife {
		return nil, nil, errNoAuthority
	}
	return ca, key, nil
}

func newAuthority(now time.Time) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "leno webhook"},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(authorityLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	ca, err := x509.ParseCertificate(der)
	return ca, key, err
}

func serial() *big.Int {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return new(big.Int).SetBytes(b[:])
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func pemOfKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	return pemOf("PRIVATE KEY", der), nil
}
