//go:build !linux

package link

import "net"

// Tune does nothing where the options do not exist.
func Tune(*net.TCPConn) error { return nil }
