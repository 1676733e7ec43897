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
//	anchor.pem  the root's private key and certificate; behind them the
//	            certificates of other roots that are trusted too
//	issuer.pem  the issuer's private key and certificate
//
// With another root in front the next start makes another issuer: so roots are
// changed, see docs/operate/systemd.md.
//
// Each file is written whole, key and certificate together, and the anchor
// first. So a crash at any point leaves a directory from which the next start
// goes on: at worst it makes another issuer under the same anchor.
type Dir struct {
	cfg    DirConfig
	anchor Pair
	others []*x509.Certificate // trusted beside the anchor
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

// Bundle is the anchor, and behind it the others.
func (d *Dir) Bundle() mesh.Bundle {
	b := mesh.Bundle{TrustDomain: d.cfg.TrustDomain, Anchors: [][]byte{d.anchor.Certificate.Raw}}
	for _, c := range d.others {
		b.Anchors = append(b.Anchors, c.Raw)
	}
	return b
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
	p, others, err := readPair(filepath.Join(d.cfg.Path, anchorFile))
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
	for _, c := range append([]*x509.Certificate{p.Certificate}, others...) {
		if !namesDomain(c, d.cfg.TrustDomain) {
			return fmt.Errorf("the trust anchor %q in %s is of trust domain %v, not %s; a trust domain cannot be changed in place", c.Subject, d.cfg.Path, c.URIs, d.cfg.TrustDomain)
		}
	}
	d.anchor, d.others = p, others
	// Every proxy refuses a bundle that this refuses.
	if err := identity.NewSource().SetBundle(d.Bundle()); err != nil {
		return fmt.Errorf("%s: %w", filepath.Join(d.cfg.Path, anchorFile), err)
	}
	return nil
}

func (d *Dir) openIssuer() error {
	p, _, err := readPair(filepath.Join(d.cfg.Path, issuerFile))
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

// readPair gives the pair of a file, and the certificates behind it.
func readPair(path string) (Pair, []*x509.Certificate, error) {
	b, err := identity.ReadPrivateFile(path, maxFile)
	if err != nil {
		return Pair{}, nil, err
	}
	p, others, err := parsePair(b)
	if err != nil {
		return Pair{}, nil, fmt.Errorf("%s is damaged: %w; restore it from a backup", path, err)
	}
	return p, others, nil
}

func parsePair(b []byte) (Pair, []*x509.Certificate, error) {
	fail := func(err error) (Pair, []*x509.Certificate, error) { return Pair{}, nil, err }
	block, rest := pem.Decode(b)
	if block == nil {
		return fail(errors.New("want a private key and a certificate in PEM form"))
	}
	k, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return fail(err)
	}
	certs, err := ParseCertificates(rest)
	if err != nil {
		return fail(err)
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(certs[0].PublicKey) {
		return fail(errors.New("key and certificate do not belong together"))
	}
	return Pair{Key: key, Certificate: certs[0]}, certs[1:], nil
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
