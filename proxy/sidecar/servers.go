package sidecar

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/leno-mesh/leno/identity"
)

const serversFile = "servers.json"

// servers gives the control plane's addresses: the mounted ones, those of the
// join file, which are kept for the time when it is gone, or else the kept ones.
func (s *Sidecar) servers() ([]string, error) {
	if s.cfg.Mounted != nil {
		return s.cfg.Mounted.Servers()
	}
	path := filepath.Join(s.cfg.StateDir, serversFile)
	if s.cfg.Join != nil {
		if s.cfg.StateDir == "" {
			return s.cfg.Join.Servers, nil
		}
		b, err := json.Marshal(s.cfg.Join.Servers)
		if err == nil {
			err = os.WriteFile(path, b, 0o600)
		}
		if err != nil {
			return nil, fmt.Errorf("keeping the control plane's addresses: %w", err)
		}
		return s.cfg.Join.Servers, nil
	}
	b, err := identity.ReadPrivateFile(path, 64<<10)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("state directory %s has never joined; give a join file with --join-file", s.cfg.StateDir)
	}
	if err != nil {
		return nil, err
	}
	var servers []string
	if err := json.Unmarshal(b, &servers); err != nil || len(servers) == 0 {
		return nil, fmt.Errorf("%s is damaged; join again with a new join file", path)
	}
	return servers, nil
}

// notAfter reads the end of a new certificate, for the metrics.
func notAfter(a identity.Answer) time.Time {
	if len(a.Chain) == 0 {
		return time.Time{}
	}
	leaf, err := x509.ParseCertificate(a.Chain[0])
	if err != nil {
		return time.Time{}
	}
	return leaf.NotAfter
}
