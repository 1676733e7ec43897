package harness

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"
)

// programs are the binaries under test, built by the first test that needs
// them.
type programs struct {
	once sync.Once
	dir  string
	err  error
}

var built programs

// Main runs the tests of a package, looks for leaked goroutines, and takes the
// binaries away again, after what else the package made for all its tests. The
// short form, which has no time for databases, leaves the package out.
func Main(m *testing.M, after ...func()) {
	role()
	flag.Parse()
	if testing.Short() {
		fmt.Println("left out of the short form: real processes take a minute")
		os.Exit(0)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		for _, f := range after {
			f()
		}
		if built.dir != "" {
			os.RemoveAll(built.dir)
		}
		os.Exit(code)
	}))
}

// Binary gives the path of leno or leno-proxy. LENO_TEST_BIN names a directory
// with binaries to test instead of building them.
func Binary(t testing.TB, name string) string {
	t.Helper()
	if dir := os.Getenv("LENO_TEST_BIN"); dir != "" {
		return filepath.Join(dir, name)
	}
	built.once.Do(built.build)
	if built.err != nil {
		t.Fatal(built.err)
	}
	return filepath.Join(built.dir, name)
}

// build builds without the race detector: these are the binaries that users
// run, and the same code runs under the detector in the tests beside it. With
// LENO_TEST_RACE=1 they have the detector, and die of what it finds.
func (p *programs) build() {
	if p.dir, p.err = os.MkdirTemp("", "leno-bin"); p.err != nil {
		return
	}
	if p.err = os.Chmod(p.dir, 0o755); p.err != nil { // other users run them too
		return
	}
	args, env := []string{"build", "-o", p.dir + "/"}, "CGO_ENABLED=0"
	if os.Getenv("LENO_TEST_RACE") == "1" {
		args, env = append(args, "-race"), "CGO_ENABLED=1"
		if p.err = os.Setenv("GORACE", "halt_on_error=1"); p.err != nil {
			return
		}
	}
	cmd := exec.Command("go", append(args, "github.com/leno-mesh/leno/cmd/leno", "github.com/leno-mesh/leno/cmd/leno-proxy")...)
	cmd.Env = append(os.Environ(), env)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.err = fmt.Errorf("building the binaries: %w\n%s", err, out)
	}
}

// Need gives the path of a program. Without it the test is skipped, or failed
// where LENO_TEST_REQUIRE_ROOT=1 says that everything must be there.
func Need(t testing.TB, name, debianPackage string) string {
	t.Helper()
	for _, dir := range []string{"", "/usr/sbin/", "/usr/lib/postgresql/15/bin/"} {
		if path, err := exec.LookPath(dir + name); err == nil {
			return path
		}
	}
	if os.Getenv("LENO_TEST_REQUIRE_ROOT") == "1" {
		t.Fatalf("%s is missing, and LENO_TEST_REQUIRE_ROOT=1 forbids skipping: apt-get install %s", name, debianPackage)
	}
	t.Skipf("%s is missing: apt-get install %s to include this test", name, debianPackage)
	return ""
}

// Soak tells whether the long form of the tests was asked for.
func Soak() bool { return os.Getenv("LENO_SOAK") == "1" }
