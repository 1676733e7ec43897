//go:build linux

package node

import (
	"os"
	"path/filepath"
	"testing"
)

// TestCPUSetIsPassedOn uses plain files for a version 1 hierarchy: a new group
// there has no processors before it is told some, and takes no process.
func TestCPUSetIsPassedOn(t *testing.T) {
	h := hierarchy{dir: t.TempDir()}
	values := map[string]string{"cpuset.cpus": "0-1\n", "cpuset.mems": "0\n"}
	for name, value := range values {
		if err := os.WriteFile(filepath.Join(h.dir, name), []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.make("clusters/one/node1"); err != nil {
		t.Fatal(err)
	}
	for name, want := range values {
		got, err := os.ReadFile(filepath.Join(h.dir, "clusters/one/node1", name))
		if err != nil || string(got) != want {
			t.Errorf("%s is %q (%v), not %q", name, got, err, want)
		}
	}
}

// TestRemoveTree removes folders within folders, and takes what is gone for
// removed.
func TestRemoveTree(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "group")
	if err := os.MkdirAll(filepath.Join(dir, "a", "b"), 0o700); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := removeTree(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(dir); !os.IsNotExist(err) {
			t.Errorf("the group is still there: %v", err)
		}
	}
}
