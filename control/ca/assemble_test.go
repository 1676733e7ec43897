package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"
)

// TestIssuersOfOthers: an issuer that somebody else made, with a key of any of
// the kinds and forms in which cert-manager and openssl write them.
func TestIssuersOfOthers(t *testing.T) {
	now := time.Now()
	anchor, err := NewAnchor("mesh", now)
	if err != nil {
		t.Fatal(err)
	}
	elliptic256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	elliptic384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsa2048, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(k crypto.Signer) (string, []byte) {
		der, err := x509.MarshalPKCS8PrivateKey(k)
		if err != nil {
			t.Fatal(err)
		}
		return "PRIVATE KEY", der
	}
	sec1 := func(k crypto.Signer) (string, []byte) {
		der, err := x509.MarshalECPrivateKey(k.(*ecdsa.PrivateKey))
		if err != nil {
			t.Fatal(err)
		}
		return "EC PRIVATE KEY", der
	}
	pkcs1 := func(k crypto.Signer) (string, []byte) {
		return "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(k.(*rsa.PrivateKey))
	}
	for name, test := range map[string]struct {
		key   crypto.Signer
		write func(crypto.Signer) (string, []byte)
		other crypto.Signer // whose certificate it comes with; nil: its own
		fails string
	}{
		"P-256, PKCS #8":   {key: elliptic256, write: pkcs8},
		"P-256, SEC 1":     {key: elliptic256, write: sec1},
		"P-384, SEC 1":     {key: elliptic384, write: sec1},
		"RSA, PKCS #1":     {key: rsa2048, write: pkcs1},
		"RSA, PKCS #8":     {key: rsa2048, write: pkcs8},
		"Ed25519, PKCS #8": {key: edwards, write: pkcs8},
		"another's key":    {key: elliptic256, write: sec1, other: rsa2048, fails: "private key"},
		"no key": {key: elliptic256, fails: "failed to find", write: func(crypto.Signer) (string, []byte) {
			return "NOTHING", []byte("x")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			owner := test.key
			if test.other != nil {
				owner = test.other
			}
			serial, err := newSerial()
			if err != nil {
				t.Fatal(err)
			}
			der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
				SerialNumber: serial, NotBefore: now.Add(-time.Minute), NotAfter: now.Add(24 * time.Hour),
				IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
			}, anchor.Certificate, owner.Public(), anchor.Key)
			if err != nil {
				t.Fatal(err)
			}
			kind, key := test.write(test.key)
			issuer, between, err := ParsePair(
				pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: key}))
			if test.fails != "" {
				if err == nil || !strings.Contains(err.Error(), test.fails) {
					t.Errorf("%v, want %q", err, test.fails)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			// Assemble signs with it and verifies what it signed.
			bundle, made, err := Assemble("mesh", []*x509.Certificate{anchor.Certificate}, issuer, between, now)
			if err != nil || len(bundle.Anchors) != 1 || !made.Certificate.Equal(issuer.Certificate) {
				t.Errorf("%v, %v", bundle, err)
			}
		})
	}
}
