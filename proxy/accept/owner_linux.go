package accept

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
)

// sock_diag(7): the request and answer for one IPv4 or IPv6 socket.
const (
	netlinkSockDiag  = 4
	sockDiagByFamily = 20
	lenNlmsghdr      = 16
	lenDiagReq       = 56
	offDiagUID       = 4 + 48 + 12 // family to retrans, socket id, expires to wqueue
	noCookie         = 0xffffffff
)

// OwnerUID asks the kernel which user the client's socket of a loopback
// connection belongs to.
func OwnerUID(c net.Conn) (uint32, error) {
	local, ok1 := c.LocalAddr().(*net.TCPAddr)
	remote, ok2 := c.RemoteAddr().(*net.TCPAddr)
	if !ok1 || !ok2 {
		return 0, errors.New("socket owner: not a TCP connection")
	}
	uid, err := askOwner(remote.AddrPort(), local.AddrPort())
	if err != nil {
		return 0, fmt.Errorf("socket owner: %w", err)
	}
	return uid, nil
}

// askOwner looks up the socket that is bound to from and connected to to.
func askOwner(from, to netip.AddrPort) (uint32, error) {
	fd, err := askKernel(diagRequest(from, to))
	if err != nil {
		return 0, err
	}
	defer syscall.Close(fd)
	buf := make([]byte, 1024)
	n, _, err := syscall.Recvfrom(fd, buf, 0)
	if err != nil {
		return 0, err
	}
	return diagUID(buf[:n])
}

// askKernel sends a request and gives the socket on which the answer comes.
func askKernel(request []byte) (fd int, err error) {
	fd, err = syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, netlinkSockDiag)
	if err != nil {
		return -1, err
	}
	if err := syscall.Sendto(fd, request, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		_ = syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

func diagRequest(from, to netip.AddrPort) []byte {
	b := make([]byte, lenNlmsghdr+lenDiagReq)
	ne, be := binary.NativeEndian, binary.BigEndian
	ne.PutUint32(b[0:], uint32(len(b))) // 72
	ne.PutUint16(b[4:], sockDiagByFamily)
	ne.PutUint16(b[6:], syscall.NLM_F_REQUEST)
	r := b[lenNlmsghdr:]
	r[0] = syscall.AF_INET6
	if from.Addr().Unmap().Is4() {
		r[0] = syscall.AF_INET
	}
	r[1] = syscall.IPPROTO_TCP
	ne.PutUint32(r[4:], 0xffffffff) // any state
	be.PutUint16(r[8:], from.Port())
	be.PutUint16(r[10:], to.Port())
	copy(r[12:28], from.Addr().Unmap().AsSlice())
	copy(r[28:44], to.Addr().Unmap().AsSlice())
	ne.PutUint32(r[48:], noCookie)
	ne.PutUint32(r[52:], noCookie)
	return b
}

func diagUID(b []byte) (uint32, error) {
	ne := binary.NativeEndian
	if len(b) < lenNlmsghdr+4 {
		return 0, errors.New("short answer")
	}
	if ne.Uint16(b[4:]) == syscall.NLMSG_ERROR {
		return 0, syscall.Errno(-int32(ne.Uint32(b[lenNlmsghdr:]))) // a negative errno
	}
	if len(b) < lenNlmsghdr+offDiagUID+4 {
		return 0, errors.New("short answer")
	}
	return ne.Uint32(b[lenNlmsghdr+offDiagUID:]), nil
}
