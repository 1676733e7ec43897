package identity_test

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/identity/identitytest"
)

// firstTLS takes the configuration of a join's connection from a Keeper.
func firstTLS(t *testing.T, j *identity.JoinFile) *tls.Config {
	t.Helper()
	got := make(chan *tls.Config, 1)
	k, err := identity.NewKeeper(identity.KeeperConfig{
		Source: identity.NewSource(), Join: j,
		Issue: func(_ context.Context, r identity.Request) (identity.Answer, error) {
			got <- r.TLS
			return identity.Answer{}, &identity.RefusedError{Err: errors.New("enough")}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := k.Run(t.Context()); err == nil {
		t.Fatal("Run went on after a refusal")
	}
	return <-got
}

func TestFirstConnection(t *testing.T) {
	ca := identitytest.NewCA(t, "test.local")
	other := identitytest.NewCA(t, "test.local")
	server := identity.ServerIdentity("test.local")
	join := &identity.JoinFile{
		Version: 1, Servers: []string{"127.0.0.1:4180"}, TrustDomain: "test.local",
		AnchorHash: identity.HashAnchor(ca.Root.Raw), Token: "secret",
	}
	cases := []struct {
		name   string
		server *identity.Source
		kind   identity.VerifyKind
	}{
		{"the server", ca.Source(t, server, "leno-server"), ""},
		{"a workload as the server", ca.Source(t, web, "web-1"), identity.WrongIdentity},
		{"another root", other.Source(t, server, "leno-server"), identity.UnknownAuthority},
		{"another root with the anchor shown beside it", withAnchor(t, other, ca), identity.UnknownAuthority},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err, _ := handshake(t, c.server.OpenServerTLS(), firstTLS(t, join))
			if identity.KindOf(err) != c.kind || (c.kind == "") != (err == nil) {
				t.Errorf("%v; want kind %q", err, c.kind)
			}
		})
	}
}

// withAnchor is a server of one authority that shows the public root of
// another: everybody can have that certificate.
func withAnchor(t *testing.T, ca, shown *identitytest.CA) *identity.Source {
	t.Helper()
	key := identitytest.Key(t)
	id := identity.ServerIdentity(ca.TrustDomain)
	chain := append(ca.Chain(t, ca.Template(t, id, "leno-server"), &key.PublicKey)[:2], shown.Root.Raw)
	v, err := identity.NewSVID(key, chain)
	if err != nil {
		t.Fatal(err)
	}
	s := identity.NewSource()
	if err := s.SetBundle(ca.Bundle()); err != nil {
		t.Fatal(err)
	}
	s.Set(v)
	return s
}

func TestJoinFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "join.json")
	want := &identity.JoinFile{
		Version: 1, Servers: []string{"10.0.0.1:4180"}, TrustDomain: "test.local",
		AnchorHash: identity.HashAnchor([]byte("root")), Token: "secret",
		Expires:   time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC),
		Namespace: "shop", ServiceAccount: "payments", Services: []string{"payments:8080"},
	}
	if err := want.Write(path); err != nil {
		t.Fatal(err)
	}
	got, err := identity.ReadJoinFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := identity.ReadJoinFile(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("a file that others can read: %v", err)
	}
}

func TestBadJoinFiles(t *testing.T) {
	good := `{"version":1,"servers":["a:1"],"trustDomain":"test.local","token":"t","anchorHash":"sha256:` + strings.Repeat("ab", 32) + `"}`
	if _, err := identity.ParseJoinFile([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string][2]string{
		"unknown field":  {`"version"`, `"verzion"`},
		"other version":  {`"version":1`, `"version":2`},
		"no server":      {`["a:1"]`, `[]`},
		"server no port": {`["a:1"]`, `["a"]`},
		"bad domain":     {`test.local`, `Test Local`},
		"no token":       {`"token":"t"`, `"token":""`},
		"short hash":     {`abab`, `ab`},
		"no hash":        {strings.Repeat("ab", 32), strings.Repeat("00", 32)},
	} {
		if _, err := identity.ParseJoinFile([]byte(strings.Replace(good, change[0], change[1], 1))); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestDamagedState(t *testing.T) {
	dir := t.TempDir()
	st, err := identity.OpenState(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	v := identitytest.NewCA(t, "test.local").SVID(t, web, "web-1")
	if err := st.SaveSVID(&v); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "identity.pem")
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", fi.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := st.LoadSVID(); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("damaged file: %v", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := st.LoadSVID(); err == nil {
		t.Error("a key that others can read was used")
	}
}
