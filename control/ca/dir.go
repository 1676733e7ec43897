package ca

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
)

const (
	anchorFile = "anchor.pem"
	issuerFile = "issuer.pem"
	maxFile    = 64 << 10
)

// DirConfig says where an authority of our own lives.
type DirConfig struct {
	Path        string
	TrustDomain mesh.TrustDomain
	// IssuerLifetime is DefaultIssuerLifetime when zero. A new issuer is made
	// at half of it.
	IssuerLifetime time.Duration
}

// Dir is Roots in a directory:
//
//	anchor.pem  the root's private key and certificate
//	issuer.pem  the issuer's private key and certificate
//
// Each file is written whole, key and certificate together, and the anchor
// first. So a crash at any point leaves a directory from which the next start
// goes on: at worst it makes another issuer under the same anchor.
type Dir struct {
	cfg    DirConfig
	anchor Pair
	change signal

	mu     sync.Mutex
	issuer Pair // guarded by mu
}

// OpenDir reads the directory, and makes what is not there: all of it on the
// first start.
func OpenDir(cfg DirConfig) (*Dir, error) {
	if cfg.IssuerLifetime == 0 {
		cfg.IssuerLifetime = DefaultIssuerLifetime
	}
	if !mesh.ValidTrustDomain(string(cfg.TrustDomain)) {
		return nil, fmt.Errorf("bad trust domain %q", cfg.TrustDomain)
	}
	if err := os.MkdirAll(cfg.Path, 0o700); err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	d := &Dir{cfg: cfg}
	if err := d.openAnchor(); err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	if err := d.openIssuer(); err != nil {
		return nil, fmt.Errorf("authority: %w", err)
	}
	return d, nil
}

// Bundle is the anchor.
func (d *Dir) Bundle() mesh.Bundle {
	return mesh.Bundle{TrustDomain: d.cfg.TrustDomain, Anchors: [][]byte{d.anchor.Certificate.Raw}}
}

// Issuer gives the issuer, and makes the next one when this one is past half
// of its life. An issuer that cannot be replaced is used to its end.
func (d *Dir) Issuer() (*Issuer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.After(d.issuer.HalfLife()) && d.issuer.Certificate.NotAfter.Before(d.anchor.Certificate.NotAfter) {
		if err := d.newIssuer(now); err != nil && now.After(d.issuer.Certificate.NotAfter) {
			return nil, err
		}
	}
	return &Issuer{Certificate: d.issuer.Certificate, Key: d.issuer.Key, Above: []*x509.Certificate{d.anchor.Certificate}}, nil
}

func (d *Dir) openAnchor() error {
	p, err := readPair(filepath.Join(d.cfg.Path, anchorFile))
	if errors.Is(err, fs.ErrNotExist) {
		// An issuer without its anchor is a lost anchor, not a first start: a
		// new one would silently lock out every workload.
		if _, err := os.Stat(filepath.Join(d.cfg.Path, issuerFile)); err == nil {
			return fmt.Errorf("%s is missing; restore it from a backup, or remove the directory and join every workload again", filepath.Join(d.cfg.Path, anchorFile))
		}
		d.anchor, err = NewAnchor(d.cfg.TrustDomain, time.Now())
		if err != nil {
			return err
		}
		return writePair(filepath.Join(d.cfg.Path, anchorFile), d.anchor)
	}
	if err != nil {
		return err
	}
	if !namesDomain(p.Certificate, d.cfg.TrustDomain) {
		return fmt.Errorf("the trust anchor in %s is of trust domain %v, not %s; a trust domain cannot be changed in place", d.cfg.Path, p.Certificate.URIs, d.cfg.TrustDomain)
	}
	d.anchor = p
	return nil
}

func (d *Dir) openIssuer() error {
	p, err := readPair(filepath.Join(d.cfg.Path, issuerFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return d.newIssuer(time.Now())
	case err != nil:
		return err
	case p.Certificate.CheckSignatureFrom(d.anchor.Certificate) != nil:
		return d.newIssuer(time.Now())
	}
	d.issuer = p
	return nil
}

// newIssuer makes an issuer, keeps it, and then uses it. Called with mu held,
// or before d is shared.
func (d *Dir) newIssuer(now time.Time) error {
	p, err := NewIssuer(d.cfg.TrustDomain, d.anchor, d.cfg.IssuerLifetime, now)
	if err != nil {
		return err
	}
	if err := writePair(filepath.Join(d.cfg.Path, issuerFile), p); err != nil {
		return err
	}
	d.issuer = p
	d.change.tell()
	return nil
}

// Changed is closed when a new issuer was made since the call.
func (d *Dir) Changed() <-chan struct{} { return d.change.next() }

func readPair(path string) (Pair, error) {
	b, err := identity.ReadPrivateFile(path, maxFile)
	if err != nil {
		return Pair{}, err
	}
	p, err := parsePair(b)
	if err != nil {
		return Pair{}, fmt.Errorf("%s is damaged: %w; restore it from a backup", path, err)
	}
	return p, nil
}

func parsePair(b []byte) (Pair, error) {
	keyBlock, rest := pem.Decode(b)
	certBlock, _ := pem.Decode(rest)
	if keyBlock == nil || certBlock == nil {
		return Pair{}, errors.New("want a private key and a certificate in PEM form")
	}
	k, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return Pair{}, err
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return Pair{}, err
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return Pair{}, errors.New("key and certificate do not belong together")
	}
	return Pair{Key: key, Certificate: cert}, nil
}

func writePair(path string, p Pair) error {
	key, err := x509.MarshalPKCS8PrivateKey(p.Key)
	if err != nil {
		return err
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Certificate.Raw})...)
	return identity.WritePrivateFile(path, out)
}
