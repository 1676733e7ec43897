package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/leno-mesh/leno/mesh"
)

// JoinFile is what a new workload is given: whom to ask, whom to trust, and a
// token that is good for one certificate. It is a secret until it was used.
type JoinFile struct {
	// Version is 1.
	Version int `json:"version"`
	// Servers are "host:port" of the control plane, tried in turn.
	Servers     []string         `json:"servers"`
	TrustDomain mesh.TrustDomain `json:"trustDomain"`
	AnchorHash  AnchorHash       `json:"anchorHash"`
	Token       string           `json:"token"`
	Expires     time.Time        `json:"expires"`

	// What the token is bound to, for people and for defaults. The control
	// plane has its own record and believes only that.
	Namespace      string   `json:"namespace"`
	ServiceAccount string   `json:"serviceAccount"`
	Services       []string `json:"services,omitempty"` // "name:port"
}

const maxJoinFile = 64 << 10

// ReadJoinFile reads a join file. A file that others than its owner can read
// is refused: its token may be known to them.
func ReadJoinFile(path string) (*JoinFile, error) {
	b, err := ReadPrivateFile(path, maxJoinFile)
	if err != nil {
		return nil, fmt.Errorf("join file: %w", err)
	}
	j, err := ParseJoinFile(b)
	if err != nil {
		return nil, fmt.Errorf("join file %s: %w", path, err)
	}
	return j, nil
}

// ParseJoinFile reads the JSON form and checks it. Expiry is not judged here:
// a workload that has its certificate needs the file only for the addresses.
func ParseJoinFile(b []byte) (*JoinFile, error) {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	var j JoinFile
	if err := d.Decode(&j); err != nil {
		return nil, err
	}
	return &j, j.check()
}

// Write puts the file at path, readable by its owner alone.
func (j *JoinFile) Write(path string) error {
	b, err := json.MarshalIndent(j, "", "  ")
	if err != nil {
		return err
	}
	return WritePrivateFile(path, append(b, '\n'))
}

func (j *JoinFile) check() error {
	if j.Version != 1 {
		return fmt.Errorf("version %d is not known; this program reads version 1", j.Version)
	}
	if len(j.Servers) == 0 {
		return errors.New("no servers")
	}
	for _, s := range j.Servers {
		if _, _, err := net.SplitHostPort(s); err != nil {
			return fmt.Errorf("server %q: want host:port", s)
		}
	}
	switch {
	case !mesh.ValidTrustDomain(string(j.TrustDomain)):
		return fmt.Errorf("bad trust domain %q", j.TrustDomain)
	case j.AnchorHash == AnchorHash{}:
		return errors.New("no anchorHash")
	case j.Token == "":
		return errors.New("no token")
	}
	return nil
}
