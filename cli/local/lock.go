package local

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// Lock is a lock between processes. The kernel gives it back when its holder
// dies.
type Lock struct{ file *os.File }

// Acquire waits for the lock of a file, which is made if it is not there.
func Acquire(path string) (*Lock, error) {
	for {
		l, err := flock(path, syscall.LOCK_EX)
		if l != nil || err != nil {
			return l, err
		}
	}
}

// TryAcquire takes the lock if nobody holds it.
func TryAcquire(path string) (*Lock, bool) {
	l, err := flock(path, syscall.LOCK_EX|syscall.LOCK_NB)
	return l, l != nil && err == nil
}

// flock locks a file. It gives nil when the file was removed meanwhile, so
// that the lock would be one of nothing.
func flock(path string, how int) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), how)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	mine, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if there, err := os.Stat(path); err != nil || !os.SameFile(mine, there) {
		return nil, f.Close()
	}
	return &Lock{f}, nil
}

// Release gives the lock back.
func (l *Lock) Release() { _ = l.file.Close() }

// Remove gives the lock back and takes its file away.
func (l *Lock) Remove() {
	_ = os.Remove(l.file.Name())
	l.Release()
}
