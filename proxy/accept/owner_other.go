//go:build !linux

package accept

import (
	"errors"
	"net"
	"net/netip"
)

// Owners cannot answer on this system.
type Owners struct{}

// UID fails.
func (*Owners) UID(net.Conn) (uint32, error) {
	return 0, errors.New("socket owner: only known on Linux")
}

// Close does nothing.
func (*Owners) Close() error { return nil }

// Listening cannot be answered on this system.
func Listening(netip.AddrPort) (bool, error) {
	return false, errors.New("who listens: only known on Linux")
}
