package identity

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/leno-mesh/leno/mesh"
)

// The files that a pod finds in its Mounted directory.
const (
	tokenFile       = "token"        // a service-account token for Leno alone
	mountedBundle   = "bundle.pem"   // the trust anchors
	serverFile      = "server"       // "host:port" of the control plane
	trustDomainFile = "trust-domain" // the mesh's
	maxMountedFile  = 256 << 10
)

// Mounted is the directory in which Kubernetes keeps for a pod what it needs
// to get in: a token by which it proves itself, and whom to trust and to ask.
// The files change while the pod runs, so each is read when it is needed.
type Mounted struct{ Dir string }

// Servers gives "host:port" of the control plane.
func (m Mounted) Servers() ([]string, error) {
	text, err := m.text(serverFile)
	if err != nil {
		return nil, err
	}
	servers := strings.Fields(text)
	for _, s := range servers {
		if _, _, err := net.SplitHostPort(s); err != nil {
			return nil, fmt.Errorf("%s: %q is no host:port", m.path(serverFile), s)
		}
	}
	return servers, nil
}

// Token gives the service-account token of now.
func (m Mounted) Token() (string, error) { return m.text(tokenFile) }

// Bundle gives the trust anchors of now.
func (m Mounted) Bundle() (mesh.Bundle, error) {
	td, err := m.text(trustDomainFile)
	if err != nil {
		return mesh.Bundle{}, err
	}
	text, err := m.read(mountedBundle)
	if err != nil {
		return mesh.Bundle{}, err
	}
	b := mesh.Bundle{TrustDomain: mesh.TrustDomain(td)}
	for {
		var p *pem.Block
		if p, text = pem.Decode(text); p == nil {
			break
		}
		b.Anchors = append(b.Anchors, p.Bytes)
	}
	if _, err := readBundle(b); err != nil {
		return mesh.Bundle{}, fmt.Errorf("%s: %w", m.path(mountedBundle), err)
	}
	return b, nil
}

func (m Mounted) path(name string) string { return filepath.Join(m.Dir, name) }

// text gives a file of one word.
func (m Mounted) text(name string) (string, error) {
	b, err := m.read(name)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return "", fmt.Errorf("%s is empty", m.path(name))
	}
	return text, nil
}

func (m Mounted) read(name string) ([]byte, error) {
	st, err := os.Stat(m.path(name))
	if err == nil && (st.Size() > maxMountedFile || !st.Mode().IsRegular()) {
		return nil, fmt.Errorf("%s: not a regular file of at most %d bytes", m.path(name), maxMountedFile)
	}
	var b []byte
	if err == nil {
		b, err = os.ReadFile(m.path(name))
	}
	if err != nil {
		return nil, fmt.Errorf("what Leno mounts into pods is not there: %w; was the pod injected by this version of Leno?", err)
	}
	return b, nil
}

// entrance is the way in with a token: the configuration of a connection that
// verifies the server by the mounted anchors, and by those known besides.
func (m Mounted) entrance(known mesh.Bundle, alpn ...string) (token string, _ *tls.Config, err error) {
	b, err := m.Bundle()
	if err != nil {
		return "", nil, err
	}
	if token, err = m.Token(); err != nil {
		return "", nil, err
	}
	if known.TrustDomain == b.TrustDomain {
		b.Anchors = append(b.Anchors, strangers(known, b)...)
	}
	s := NewSource()
	if err := s.SetBundle(b); err != nil {
		return "", nil, err
	}
	return token, s.anonymousTLS(Expect{Identity: ServerIdentity(b.TrustDomain)}, alpn...), nil
}

// strangers gives the anchors of b that are not in known.
func strangers(b, known mesh.Bundle) (all [][]byte) {
	for _, der := range b.Anchors {
		if !slices.ContainsFunc(known.Anchors, func(k []byte) bool { return bytes.Equal(k, der) }) {
			all = append(all, der)
		}
	}
	return all
}

var errNoWayIn = errors.New("no certificate is kept and there is no join file; make one with: leno token create")
