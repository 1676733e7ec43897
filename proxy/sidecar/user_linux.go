package sidecar

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// becomeUser gives up root for good when the process was started as root: the
// listeners are open, nothing that follows needs a privilege. Setting the user
// of a root process to another clears all its capabilities (capabilities(7)).
func (s *Sidecar) becomeUser(limits) error {
	uid := s.cfg.RunAs
	if uid == 0 || !isRoot() {
		return nil
	}
	if dir := s.cfg.StateDir; dir != "" {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("state directory: %w", err)
		}
		if err := giveAway(dir, uid); err != nil {
			return fmt.Errorf("state directory: %w", err)
		}
	}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"groups", func() error { return syscall.Setgroups(nil) }},
		{"group", func() error { return syscall.Setresgid(uid, uid, uid) }},
		{"user", func() error { return syscall.Setresuid(uid, uid, uid) }},
	} {
		if err := step.do(); err != nil {
			return fmt.Errorf("becoming user %d: set %s: %w", uid, step.what, err)
		}
	}
	return nil
}

// giveAway makes everything in a directory belong to a user. It stays inside
// the directory even if somebody puts a link in its way meanwhile.
func giveAway(dir string, uid int) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(path, uid, uid)
	})
}
