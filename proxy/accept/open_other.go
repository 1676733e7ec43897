//go:build !linux

package accept

import "syscall"

// prepare sets nothing where the options have other names.
func prepare(int) func(network, address string, c syscall.RawConn) error { return nil }
