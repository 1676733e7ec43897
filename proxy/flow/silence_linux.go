package flow

import (
	"net"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// silenceOf is how long no byte has moved on a TCP connection, in either
// direction, as the kernel knows it: bytes of an opaque connection may move
// without this process. It is 0 where that cannot be told.
func silenceOf(c net.Conn) time.Duration {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return 0
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0
	}
	var silence uint32 // ms
	_ = raw.Control(func(fd uintptr) {
		if info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); err == nil {
			silence = min(info.Last_data_sent, info.Last_data_recv)
		}
	})
	return time.Duration(silence) * time.Millisecond
}
