package redirect

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWarningsNameProcessesOfTheProxyUser(t *testing.T) {
	proc := t.TempDir()
	process := func(pid int, name string, uid int, namespace string) {
		dir := filepath.Join(proc, fmt.Sprint(pid))
		if pid == 0 {
			dir = filepath.Join(proc, "thread-self")
		}
		status := fmt.Sprintf("Name:\t%s\nUmask:\t0022\nUid:\t0\t0\t0\t%d\nGid:\t0\t0\t0\t0\n", name, uid)
		if err := os.MkdirAll(filepath.Join(dir, "ns"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "status"), []byte(status), 0o644); err != nil {
			t.Fatal(err)
		}
		if namespace == "" {
			return // a process whose namespace may not be read
		}
		if err := os.Symlink(namespace, filepath.Join(dir, "ns/net")); err != nil {
			t.Fatal(err)
		}
	}
	process(0, "leno-proxy", 0, "net:[1]")
	process(10, "leno-proxy", 2102, "net:[1]")
	process(11, "shop", 2102, "net:[1]")
	process(12, "shop", 1000, "net:[1]")
	process(13, "shop", 2102, "net:[2]")
	process(14, "hidden", 2102, "")
	if err := os.Mkdir(filepath.Join(proc, "15"), 0o755); err != nil { // already gone
		t.Fatal(err)
	}
	got := strings.Join(warnings(proc, 2102), "\n")
	for _, want := range []string{"process 11 (shop)", "process 14 (hidden)", "user 2102"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in:\n%s", want, got)
		}
	}
	if strings.Count(got, "\n") != 1 {
		t.Errorf("want two warnings:\n%s", got)
	}
}
