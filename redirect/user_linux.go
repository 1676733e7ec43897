package redirect

import (
	"errors"
	"fmt"
	"net/netip"
	"runtime"

	"golang.org/x/sys/unix"
)

// errCannotBe says that the process may not act as another user.
var errCannotBe = errors.New("not permitted to act as another user")

// asUser runs f with files and sockets belonging to uid. The kernel keeps the
// file system user per thread, so nothing else in this process changes.
func asUser(uid uint32, f func() error) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := unix.SetfsuidRetUid(int(uid))
	if err != nil {
		return fmt.Errorf("%w %d: %w", errCannotBe, uid, err)
	}
	defer unix.SetfsuidRetUid(before)
	// setfsuid reports no failure; asking again tells.
	if now, _ := unix.SetfsuidRetUid(int(uid)); now != int(uid) {
		return fmt.Errorf("%w %d", errCannotBe, uid)
	}
	return f()
}

// connectAsProxy starts a connection that belongs to the proxy's user, and
// does not wait for it: the kernel decides about capture as it sends the first
// packet. Where the process may not act as that user it does nothing.
func connectAsProxy(uid uint32, target netip.AddrPort) (closeIt func(), err error) {
	fd := -1
	closeIt = func() {
		if fd >= 0 {
			_ = unix.Close(fd)
		}
	}
	err = asUser(uid, func() (err error) {
		family, address := sockaddr(target)
		fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return fmt.Errorf("socket: %w", err)
		}
		if err := unix.Connect(fd, address); err != nil && !errors.Is(err, unix.EINPROGRESS) {
			return fmt.Errorf("connect to %s: %w", target, err)
		}
		return nil
	})
	if errors.Is(err, errCannotBe) {
		return closeIt, nil
	}
	if err != nil {
		closeIt()
	}
	return closeIt, err
}

func sockaddr(a netip.AddrPort) (family int, address unix.Sockaddr) {
	if a.Addr().Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(a.Port()), Addr: a.Addr().As4()}
	}
	return unix.AF_INET6, &unix.SockaddrInet6{Port: int(a.Port()), Addr: a.Addr().As16()}
}
