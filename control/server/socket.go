package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

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
	// The mask, not a later chmod, keeps others out from the first moment.
	old := syscall.Umask(0o177)
	l, err := net.Listen("unix", path)
	syscall.Umask(old)
	if err != nil {
		return nil, fmt.Errorf("operator's socket: %w", err)
	}
	return l, nil
}
