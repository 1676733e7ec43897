package ca

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
)

// Lifetimes of the authority's own certificates.
const (
	anchorLifetime        = 10 * 365 * 24 * time.Hour
	DefaultIssuerLifetime = 90 * 24 * time.Hour
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
	anchor pair

	mu     sync.Mutex
	issuer pair // guarded by mu
}

// pair is a key with its certificate.
type pair struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
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
	return mesh.Bundle{TrustDomain: d.cfg.TrustDomain, Anchors: [][]byte{d.anchor.cert.Raw}}
}

// Issuer gives the issuer, and makes the next one when this one is past half
// of its life. An issuer that cannot be replaced is used to its end.
func (d *Dir) Issuer() (*Issuer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.After(halfLife(d.issuer.cert)) {
		if err := d.newIssuer(now); err != nil && now.After(d.issuer.cert.NotAfter) {
			return nil, err
		}
	}
	return &Issuer{Certificate: d.issuer.cert, Key: d.issuer.key, Above: []*x509.Certificate{d.anchor.cert}}, nil
}

func (d *Dir) openAnchor() error {
	p, err := readPair(filepath.Join(d.cfg.Path, anchorFile))
	if errors.Is(err, fs.ErrNotExist) {
		// An issuer without its anchor is a lost anchor, not a first start: a
		// new one would silently lock out every workload.
		if _, err := os.Stat(filepath.Join(d.cfg.Path, issuerFile)); err == nil {
			return fmt.Errorf("%s is missing; restore it from a backup, or remove the directory and join every workload again", filepath.Join(d.cfg.Path, anchorFile))
		}
		d.anchor, err = d.make("Leno trust anchor", anchorLifetime, time.Now(), nil)
		if err != nil {
			return err
		}
		return writePair(filepath.Join(d.cfg.Path, anchorFile), d.anchor)
	}
	if err != nil {
		return err
	}
	if !namesDomain(p.cert, d.cfg.TrustDomain) {
		return fmt.Errorf("the trust anchor in %s is of trust domain %v, not %s; a trust domain cannot be changed in place", d.cfg.Path, p.cert.URIs, d.cfg.TrustDomain)
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
	case p.cert.CheckSignatureFrom(d.anchor.cert) != nil:
		return d.newIssuer(time.Now())
	}
	d.issuer = p
	return nil
}

// newIssuer makes an issuer, keeps it, and then uses it. Called with mu held,
// or before d is shared.
func (d *Dir) newIssuer(now time.Time) error {
	p, err := d.make("Leno issuer", d.cfg.IssuerLifetime, now, &d.anchor)
	if err != nil {
		return err
	}
	if err := writePair(filepath.Join(d.cfg.Path, issuerFile), p); err != nil {
		return err
	}
	d.issuer = p
	return nil
}

// make signs an authority's certificate: by parent, or by itself.
func (d *Dir) make(name string, life time.Duration, now time.Time, parent *pair) (pair, error) {
	key, err := identity.NewKey()
	if err != nil {
		return pair{}, err
	}
	serial, err := newSerial()
	if err != nil {
		return pair{}, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{Organization: []string{"Leno"}, CommonName: name},
		// An authority's SPIFFE ID is its trust domain (X509-SVID, 3.1).
		URIs:      []*url.URL{{Scheme: "spiffe", Host: string(d.cfg.TrustDomain)}},
		NotBefore: now.Add(-min(life/10, time.Hour)), NotAfter: now.Add(life),
		IsCA: true, BasicConstraintsValid: true, MaxPathLen: 1,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	by := pair{key: key, cert: tmpl}
	if parent != nil {
		by = *parent
		tmpl.MaxPathLen, tmpl.MaxPathLenZero = 0, true
		if by.cert.NotAfter.Before(tmpl.NotAfter) {
			tmpl.NotAfter = by.cert.NotAfter
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, by.cert, &key.PublicKey, by.key)
	if err != nil {
		return pair{}, err
	}
	cert, err := x509.ParseCertificate(der)
	return pair{key: key, cert: cert}, err
}

func halfLife(c *x509.Certificate) time.Time {
	return c.NotBefore.Add(c.NotAfter.Sub(c.NotBefore) / 2)
}

func namesDomain(c *x509.Certificate, td mesh.TrustDomain) bool {
	return len(c.URIs) == 1 && c.URIs[0].Scheme == "spiffe" && c.URIs[0].Host == string(td)
}

func readPair(path string) (pair, error) {
	b, err := identity.ReadPrivateFile(path, maxFile)
	if err != nil {
		return pair{}, err
	}
	p, err := parsePair(b)
	if err != nil {
		return pair{}, fmt.Errorf("%s is damaged: %w; restore it from a backup", path, err)
	}
	return p, nil
}

func parsePair(b []byte) (pair, error) {
	keyBlock, rest := pem.Decode(b)
	certBlock, _ := pem.Decode(rest)
	if keyBlock == nil || certBlock == nil {
		return pair{}, errors.New("want a private key and a certificate in PEM form")
	}
	k, err := x509.ParsePKCS8PrivateKey(keyBlock.Bytes)
	if err != nil {
		return pair{}, err
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return pair{}, err
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(cert.PublicKey) {
		return pair{}, errors.New("key and certificate do not belong together")
	}
	return pair{key: key, cert: cert}, nil
}

func writePair(path string, p pair) error {
	key, err := x509.MarshalPKCS8PrivateKey(p.key)
	if err != nil {
		return err
	}
	out := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})
	out = append(out, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.cert.Raw})...)
	return identity.WritePrivateFile(path, out)
}
