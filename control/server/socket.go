package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const socketMode = 0o600

// listenUnix opens the operator's socket, readable and writable by this user
// alone. A socket that an earlier server left behind is taken away; one that
// a server still answers on is not.
func listenUnix(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("operator's socket: %w", err)
	}
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		_ = c.Close()
		return nil, fmt.Errorf("operator's socket %s: another server answers there; stop it, or choose another with --socket", path)
	} else if st, serr := os.Lstat(path); errors.Is(err, syscall.ECONNREFUSED) && serr == nil {
		if st.Mode().Type() != os.ModeSocket {
			return nil, fmt.Errorf("operator's socket %s: there is a file that is no socket; choose another path with --socket", path)
		}
		_ = os.Remove(path)
	}
	// The mode of a socket is that of its descriptor when it is bound, where the
	// kernel does so (Linux), so that others are kept out from the first moment.
	// The process's umask would do the same to every other file made meanwhile.
	private := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), socketMode) })
	}}
	l, err := private.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, fmt.Errorf("operator's socket: %w", err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		return nil, errors.Join(fmt.Errorf("operator's socket: %w", err), l.Close())
	}
	return l, nil
}
