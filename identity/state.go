package identity

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/leno-mesh/leno/mesh"
)

// State is a directory that keeps a workload's identity over a restart. One
// process at a time holds it. Each file is replaced whole by a rename, and key
// and certificate are in one file, so that a crash never leaves a certificate
// without its key.
//
//	identity.pem  private key and certificate chain; the leaf names the workload
//	bundle.pem    trust anchors
//	joining.pem   the key of a join whose answer has not come yet
type State struct {
	dir  string
	lock *os.File
}

const (
	identityFile = "identity.pem"
	bundleFile   = "bundle.pem"
	joiningFile  = "joining.pem"
	maxStateFile = 256 << 10

	blockKey         = "PRIVATE KEY"
	blockCertificate = "CERTIFICATE"
	headTrustDomain  = "Trust-Domain"
)

// OpenState makes the directory if needed (0700) and takes its lock.
func OpenState(dir string) (*State, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if st, err := os.Stat(dir); err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	} else if st.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("state directory %s can be written by others; run: chmod 700 %s", dir, dir)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("state directory %s is used by another process; give each proxy its own", dir), lock.Close())
	}
	return &State{dir: dir, lock: lock}, nil
}

// Dir is the directory, for others who keep state beside the identity.
func (s *State) Dir() string { return s.dir }

// Close gives the directory free.
func (s *State) Close() error { return s.lock.Close() }

// LoadSVID gives the certificate kept, or nil when there is none yet. It may
// have expired.
func (s *State) LoadSVID() (*SVID, error) {
	blocks, err := s.read(identityFile)
	if err != nil || blocks == nil {
		return nil, err
	}
	key, err := parseKey(blocks[0])
	if err != nil {
		return nil, s.damaged(identityFile, err)
	}
	var chain [][]byte
	for _, b := range blocks[1:] {
		chain = append(chain, b.Bytes)
	}
	v, err := NewSVID(key, chain)
	if err != nil {
		return nil, s.damaged(identityFile, err)
	}
	return &v, nil
}

// SaveSVID keeps key and chain.
func (s *State) SaveSVID(v *SVID) error {
	key, err := keyBlock(v.key())
	if err != nil {
		return err
	}
	blocks := []*pem.Block{key}
	for _, c := range v.Chain {
		blocks = append(blocks, &pem.Block{Type: blockCertificate, Bytes: c.Raw})
	}
	return s.write(identityFile, blocks)
}

// LoadBundle gives the bundle kept, or the zero value when there is none yet.
func (s *State) LoadBundle() (mesh.Bundle, error) {
	blocks, err := s.read(bundleFile)
	if err != nil || blocks == nil {
		return mesh.Bundle{}, err
	}
	b := mesh.Bundle{TrustDomain: mesh.TrustDomain(blocks[0].Headers[headTrustDomain])}
	for _, p := range blocks {
		b.Anchors = append(b.Anchors, p.Bytes)
	}
	if _, err := readBundle(b); err != nil {
		return mesh.Bundle{}, s.damaged(bundleFile, err)
	}
	return b, nil
}

// SaveBundle keeps the trust anchors.
func (s *State) SaveBundle(b mesh.Bundle) error {
	var blocks []*pem.Block
	for _, der := range b.Anchors {
		blocks = append(blocks, &pem.Block{
			Type: blockCertificate, Bytes: der,
			Headers: map[string]string{headTrustDomain: string(b.TrustDomain)},
		})
	}
	return s.write(bundleFile, blocks)
}

// joiningKey gives the key to join with. It is kept until the join is done,
// because the authority answers a repeated token only to the same key: a
// crash between its answer and our writing it down does not waste the token.
func (s *State) joiningKey() (*ecdsa.PrivateKey, error) {
	blocks, err := s.read(joiningFile)
	if err != nil {
		return nil, err
	}
	if blocks != nil {
		if key, err := parseKey(blocks[0]); err == nil {
			return key, nil
		}
	}
	key, err := NewKey()
	if err != nil {
		return nil, err
	}
	block, err := keyBlock(key)
	if err != nil {
		return nil, err
	}
	return key, s.write(joiningFile, []*pem.Block{block})
}

func (s *State) joined() error {
	err := os.Remove(filepath.Join(s.dir, joiningFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (s *State) damaged(name string, err error) error {
	path := filepath.Join(s.dir, name)
	return fmt.Errorf("%s is damaged: %w; remove it and join again with a new token", path, err)
}

// read gives the PEM blocks of a file: nil when it does not exist, else at
// least one.
func (s *State) read(name string) ([]*pem.Block, error) {
	rest, err := ReadPrivateFile(filepath.Join(s.dir, name), maxStateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	var blocks []*pem.Block
	for {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		blocks = append(blocks, b)
	}
	if len(blocks) == 0 {
		return nil, s.damaged(name, errors.New("no PEM block in it"))
	}
	return blocks, nil
}

func (s *State) write(name string, blocks []*pem.Block) error {
	var out []byte
	for _, b := range blocks {
		out = append(out, pem.EncodeToMemory(b)...)
	}
	if err := WritePrivateFile(filepath.Join(s.dir, name), out); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

func keyBlock(key *ecdsa.PrivateKey) (*pem.Block, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return &pem.Block{Type: blockKey, Bytes: der}, err
}

func parseKey(b *pem.Block) (*ecdsa.PrivateKey, error) {
	if b.Type != blockKey {
		return nil, fmt.Errorf("begins with a block %q; want %q", b.Type, blockKey)
	}
	k, err := x509.ParsePKCS8PrivateKey(b.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := k.(*ecdsa.PrivateKey)
	if !ok {
		return nil, errors.New("key is not ECDSA")
	}
	return key, nil
}
