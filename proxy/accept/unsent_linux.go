package accept

import (
	"errors"
	"net"

	"golang.org/x/sys/unix"

	"github.com/leno-mesh/leno/proxy/socket"
)

// unsent bounds the bytes that wait in the kernel for the other end to take them,
// besides those on their way. Without a bound they grow to megabytes for one that
// does not read, and count as this process's memory. It is said once for each
// connection, since one that is accepted does not inherit it where the listener
// speaks Multipath TCP.
func unsent(c net.Conn, most int) error {
	t, ok := socket.TCP(c)
	if !ok || most <= 0 {
		return nil
	}
	raw, err := t.SyscallConn()
	if err != nil {
		return err
	}
	var serr error
	err = raw.Control(func(fd uintptr) {
		serr = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, most)
	})
	return errors.Join(err, serr)
}
