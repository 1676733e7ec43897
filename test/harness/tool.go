package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// tools are the foreign programs that are Go modules: in which folder below
// tools/ each one's version is pinned, and its package. Each folder is a module
// of its own, so that nothing of theirs is in Leno's, and those that cannot
// agree on a version of grpc do not have to.
func tools() map[string][2]string {
	return map[string][2]string{
		"fortio":         {".", "fortio.org/fortio"},
		"ghz":            {"ghz", "github.com/bojand/ghz/cmd/ghz"},
		"h2spec":         {"judges", "github.com/summerwind/h2spec/cmd/h2spec"},
		"interop-client": {"judges", "google.golang.org/grpc/interop/client"},
		"interop-server": {"judges", "google.golang.org/grpc/interop/server"},
		"nats-server":    {"judges", "github.com/nats-io/nats-server/v2"},
	}
}

// Tool gives the path of a foreign program, which is built into the user's
// cache when it is not there or its pinned version has changed.
func Tool(t testing.TB, name string) string {
	t.Helper()
	where, ok := tools()[name]
	if !ok {
		t.Fatalf("no tool %q is pinned", name)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cache, "leno", "judges", name)
	cmd := exec.Command("go", "build", "-trimpath", "-o", path, where[1])
	cmd.Dir = filepath.Join(root(t), "tools", where[0])
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building %s: %v\n%s", name, err, out)
	}
	return path
}

// root is the folder of Leno's source.
func root(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatalf("finding the source: %v", err)
	}
	return strings.TrimSpace(string(out))
}
