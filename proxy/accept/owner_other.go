//go:build !linux

package accept

import (
	"errors"
	"net"
	"net/netip"
)

// OwnerUID cannot be answered on this system.
func OwnerUID(net.Conn) (uint32, error) { return 0, errors.New("socket owner: only known on Linux") }

// Listening cannot be answered on this system.
func Listening(netip.AddrPort) (bool, error) {
	return false, errors.New("who listens: only known on Linux")
}
