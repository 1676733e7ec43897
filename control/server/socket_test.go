package server

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// The operator's socket is this user's alone, and opening it leaves the
// process's mask for new files alone.
func TestSocketMode(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leno.sock")
	l, err := listenUnix(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	st, err := os.Stat(path)
	if err != nil || st.Mode().Perm() != socketMode {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	before := syscall.Umask(0o022)
	syscall.Umask(before)
	file := filepath.Join(filepath.Dir(path), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(file); err != nil || st.Mode().Perm() != 0o666&^os.FileMode(before) {
		t.Errorf("another file: mode %v, %v", st.Mode(), err)
	}
}
