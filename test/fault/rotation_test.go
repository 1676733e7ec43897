package fault

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/test/harness"
)

// rotatedLife is that of certificates here: short, since each must be renewed
// once, and long enough for a server that starts slowly.
const rotatedLife = 30 * time.Second

// TestAnotherTrustAnchor does what docs/operate/systemd.md says, under load. No
// request fails.
func TestAnotherTrustAnchor(t *testing.T) {
	harness.Need(t, "openssl", "openssl")
	steps := documented(t, "../../docs/operate/systemd.md", "## Another trust anchor")
	if len(steps) != 4 {
		t.Fatalf("%d steps are documented; want all but the last to end with a restart", len(steps))
	}
	s := openShop(t, harness.MeshConfig{Life: rotatedLife}, "a", "b")
	old := s.anchors(t)
	load := s.load(t)
	keep := filepath.Join(harness.Dir(t, 0), "leno-anchor")
	dir := filepath.Dir(keep)
	do := func(step string) {
		t.Helper()
		step = strings.NewReplacer("/var/lib/leno", s.mesh.Data(), "/root/leno-anchor", keep).Replace(step)
		harness.MustRun(t, s.client.At, harness.Program{Name: "rotation", Dir: dir, Args: []string{"/bin/bash", "-euc", step}})
		dir = keep // the first step made it, and went there
	}

	do(steps[0])
	s.mesh.RestartServer()
	harness.Wait(t, "both anchors at every proxy", func() string {
		for name, p := range s.mesh.Proxies() {
			if p.Anchors == nil || !*p.Anchors {
				return fmt.Sprintf("%s has not: %+v", name, p)
			}
		}
		return ""
	})
	load.Await(20)

	// One proxy is away when the server changes: what it kept must do.
	away := s.instances[1].proxy
	harness.Wait(t, "both anchors in the state directory", func() string {
		kept, err := os.ReadFile(filepath.Join(away.State, "bundle.pem"))
		if n := strings.Count(string(kept), "BEGIN CERTIFICATE"); n != 2 {
			return fmt.Sprintf("%d certificates, %v", n, err)
		}
		return ""
	})
	if err := harness.Drain(away.Process); err != nil {
		t.Fatal(err)
	}
	do(steps[1])
	s.mesh.RestartServer()
	away.Restart()
	s.mesh.WaitConnected("client", "a", "b")
	harness.Wait(t, "certificates of the new anchor", func() string {
		for holder, serial := range s.anchors(t) {
			if serial == old[holder] {
				return holder + " has one of the old anchor"
			}
		}
		return ""
	})
	load.Await(20)

	do(steps[2])
	s.mesh.RestartServer()
	do(steps[3])
	s.mesh.WaitConnected("client", "a", "b")
	load.Await(20)
	load.MustAllBeGood()
}

// anchors gives the serial number of the anchor above each certificate.
func (s *shop) anchors(t *testing.T) map[string]string {
	t.Helper()
	all, err := s.mesh.Operator().Identities(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	for _, id := range all {
		out[id.Holder] = id.Chain[len(id.Chain)-1].Serial
	}
	return out
}

// documented gives the commands of a section, cut where the server is to be
// started again.
func documented(t *testing.T, page, section string) []string {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, after, ok := strings.Cut(string(text), section+"\n")
	if !ok {
		t.Fatalf("%s has no section %q", page, section)
	}
	after, _, _ = strings.Cut(after, "\n## ")
	var steps strings.Builder
	for line := range strings.Lines(after) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			steps.WriteString(command)
		}
	}
	return strings.Split(steps.String(), "systemctl restart leno-server\n")
}
