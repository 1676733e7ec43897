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
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX) //nolint:gosec // a descriptor fits
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	return &Lock{f}, nil
}

// TryAcquire takes the lock if nobody holds it.
func TryAcquire(path string) (*Lock, bool) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil { //nolint:gosec // a descriptor fits
		_ = f.Close()
		return nil, false
	}
	return &Lock{f}, true
}

// Release gives the lock back.
func (l *Lock) Release() { _ = l.file.Close() }
