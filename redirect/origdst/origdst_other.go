//go:build !linux

package origdst

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// OriginalDst needs Linux: no other kernel redirects connections to Leno.
func OriginalDst(*net.TCPConn) (netip.AddrPort, error) {
	return netip.AddrPort{}, fmt.Errorf("original destination: %w", errors.ErrUnsupported)
}
