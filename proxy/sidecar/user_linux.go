package sidecar

import (
	"fmt"
	"os"
	"path/filepath"
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
		if err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, uid, uid)
		}); err != nil {
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
