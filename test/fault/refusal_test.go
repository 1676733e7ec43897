package fault

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

// TestTokensAreRefused shows what cannot join, with the proxy's own words, and
// that those who did go on.
func TestTokensAreRefused(t *testing.T) {
	s := openShop(t, harness.MeshConfig{}, "a")
	load := s.load(t)
	used := s.mesh.Token(0, harness.Namespace, "once", []string{"once:80"})
	first := s.mesh.LaunchWith(harness.Sidecar{At: harness.Loopback(t), Name: "once", Services: []string{"once:80"}}, "--join-file", used)
	first.WaitReady()

	expired := s.mesh.Token(0, harness.Namespace, "late", nil, "--ttl", "1s")
	harness.Wait(t, "the end of the token", func() string {
		if out, err := s.mesh.Leno("token", "list"); err != nil || !strings.Contains(out, "expired") {
			return out
		}
		return ""
	})
	for _, test := range []struct {
		name, join string
		services   []string
		want       string
	}{
		{"used twice", used, []string{"once:80"}, "used"},
		{"expired", expired, nil, "expired"},
		{"other service", s.mesh.Token(0, harness.Namespace, "thief", []string{"mine:80"}), []string{"app:8080"}, "app:8080"},
		{"other port", s.mesh.Token(0, harness.Namespace, "thief", []string{"app:80"}), []string{"app:8080"}, "app:8080"},
		{"made up", madeUp(t, used), nil, "token"},
	} {
		t.Run(test.name, func(t *testing.T) {
			at := harness.Loopback(t)
			p := s.mesh.LaunchWith(harness.Sidecar{At: at, Name: "refused", Services: test.services}, "--join-file", test.join)
			refused := regexp.MustCompile(`(?m)^.*(refused|denied|error|err=|leno-proxy:).*` + regexp.QuoteMeta(test.want) + `.*$`)
			harness.Wait(t, "the refusal", func() string {
				if !refused.MatchString(p.Output()) {
					return "the proxy says: " + p.Output()
				}
				return ""
			})
			if page, err := p.Page(t.Context(), "/ready"); err == nil {
				t.Errorf("it is ready: %s", page)
			}
			t.Log(refused.FindString(p.Output()))
		})
	}
	if _, found := s.mesh.Proxies()["refused"]; found {
		t.Error("a refused proxy is listed")
	}
	load.MustAllBeGood()
}

// madeUp gives a join file with a token that nobody handed out.
func madeUp(t *testing.T, like string) string {
	t.Helper()
	b, err := os.ReadFile(like)
	if err != nil {
		t.Fatal(err)
	}
	token := regexp.MustCompile(`("token":\s*")([^"]+)`).FindSubmatch(b)
	if token == nil {
		t.Fatalf("no token in %s", b)
	}
	other := bytes.Clone(token[2])
	for i, c := range other { // of the same form, and another one
		if c >= 'a' && c < 'f' || c >= '0' && c < '9' {
			other[i] = c + 1
		}
	}
	path := filepath.Join(harness.Dir(t, 0), "join")
	if err := os.WriteFile(path, []byte(strings.Replace(string(b), string(token[2]), string(other), 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
