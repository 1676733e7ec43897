//go:build !linux

package accept

import "net"

// unsent does nothing where there is no such option.
func unsent(net.Conn, int) error { return nil }
