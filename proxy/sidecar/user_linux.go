package sidecar

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// becomeUser gives up root for good when the process was started as root: the
// listeners are open, nothing that follows needs a privilege. Setting the user
// of a root process to another clears all its capabilities (capabilities(7)).
func (s *Sidecar) becomeUser() error {
	if err := noNewPrivileges(); err != nil {
		return err
	}
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

// noNewPrivileges keeps this process and whatever it might start from ever
// gaining a privilege (PR_SET_NO_NEW_PRIVS). It holds for every thread. Test
// programs are linked with C, where Go cannot reach all threads; they go on
// without.
func noNewPrivileges() error {
	const set = 1
	_, _, e := syscall.AllThreadsSyscall6(syscall.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, set, 0, 0, 0, 0)
	if e != 0 && e != syscall.ENOTSUP {
		return fmt.Errorf("giving up new privileges: %w", e)
	}
	return nil
}

// giveAway makes everything in a directory belong to a user. It stays inside
// the directory even if somebody puts a link in its way meanwhile.
func giveAway(dir string, uid int) error {
	before, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !before.IsDir() {
		return fmt.Errorf("%s is not a directory itself; name the place that it leads to", dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if opened, err := root.Stat("."); err != nil || !os.SameFile(before, opened) {
		return fmt.Errorf("%s was exchanged meanwhile; put it where only root can", dir)
	}
	return fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(path, uid, uid)
	})
}
