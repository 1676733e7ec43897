package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// PrivateDir makes a directory that this user alone can open. One that is
// there already must be like that.
func PrivateDir(path string) error {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || ok && int(st.Uid) != os.Getuid() {
		return fmt.Errorf("%s is not a directory of this user alone; remove it, or run: chmod 700 %s", path, path)
	}
	return nil
}

// Scratch is a private directory that goes when its owner goes: removed by
// Close, or by the next Scratch in the same place if its owner was killed.
type Scratch struct {
	Path string
	lock *Lock
}

// owned is the file in a scratch directory that its owner holds locked.
const owned = "owned"

// gate is the file whose lock is held while scratch directories are made and
// removed.
const gate = "scratch.lock"

// NewScratch makes one below parent, with a name that begins with prefix.
func NewScratch(parent, prefix string) (s *Scratch, err error) {
	for range 10 {
		s, err = newScratch(parent, prefix)
		if !errors.Is(err, fs.ErrNotExist) { // another one took the parent away
			break
		}
	}
	return s, err
}

func newScratch(parent, prefix string) (*Scratch, error) {
	if err := PrivateDir(parent); err != nil {
		return nil, err
	}
	// A directory without its lock yet must not be swept by another process.
	g, err := Acquire(filepath.Join(parent, gate))
	if err != nil {
		return nil, err
	}
	defer g.Release()
	sweep(parent, prefix)
	path, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, err
	}
	lock, err := Acquire(filepath.Join(path, owned))
	if err != nil {
		_ = os.RemoveAll(path)
		return nil, err
	}
	return &Scratch{Path: path, lock: lock}, nil
}

// Close removes the directory, and its parent if that is empty then.
func (s *Scratch) Close() error {
	err := os.RemoveAll(s.Path)
	s.lock.Release()
	parent := filepath.Dir(s.Path)
	if g, ok := TryAcquire(filepath.Join(parent, gate)); ok {
		g.Remove()
		_ = os.Remove(parent)
	}
	return err
}

// sweep removes the directories whose owners are dead. What cannot be removed
// stays for the next time.
func sweep(parent, prefix string) {
	all, _ := filepath.Glob(filepath.Join(parent, prefix+"*"))
	for _, dir := range all {
		if lock, ok := TryAcquire(filepath.Join(dir, owned)); ok {
			_ = os.RemoveAll(dir)
			lock.Release()
		}
	}
}
