//go:build !linux

package accept

import (
	"errors"
	"net"
)

// OwnerUID cannot be answered on this system.
func OwnerUID(net.Conn) (uint32, error) { return 0, errors.New("socket owner: only known on Linux") }
