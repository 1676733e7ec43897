package accept

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// TCP keep-alive of accepted connections: a peer that is gone without a word is
// noticed after two and a half minutes of silence.
const (
	keepAliveIdle  = 15 // seconds
	keepAliveEvery = 15
	keepAliveCount = 9
)

// prepare sets what all connections of a listener inherit. Said once here it need
// not be said for each of them.
func prepare(unsent int) func(network, address string, c syscall.RawConn) error {
	options := []struct{ level, name, value int }{
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAliveIdle},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepAliveEvery},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepAliveCount},
		{unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent},
	}
	return func(_, _ string, c syscall.RawConn) error {
		var failed error
		err := c.Control(func(fd uintptr) {
			for _, o := range options {
				failed = errors.Join(failed, unix.SetsockoptInt(int(fd), o.level, o.name, o.value))
			}
		})
		return errors.Join(err, failed)
	}
}
