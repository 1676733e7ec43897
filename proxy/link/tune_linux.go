package link

import (
	"errors"
	"net"
	"time"

	"golang.org/x/sys/unix"
)

// What docs/link.md asks of the TCP connection.
const (
	notSentLowat = 64 << 10
	userTimeout  = 5 * time.Second
)

// Tune sets the options that a link wants on its TCP connection: how much may
// wait in the kernel unsent, and how long it may stay unacknowledged.
func Tune(c *net.TCPConn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		serr = errors.Join(
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, notSentLowat),
			unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(userTimeout.Milliseconds())),
		)
	})
	return errors.Join(err, serr)
}
