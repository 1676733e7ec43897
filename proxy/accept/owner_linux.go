package accept

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
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

// Owners asks the kernel which user a client's socket belongs to. One socket of
// netlink serves for all questions: to open one for each is half of the price.
type Owners struct {
	mu     sync.Mutex
	opened bool
	fd     int
	number uint32 // of the last question
	buf    [1024]byte
}

// UID gives the user to whom the client's socket of a loopback connection belongs.
func (o *Owners) UID(c net.Conn) (uint32, error) {
	local, ok1 := c.LocalAddr().(*net.TCPAddr)
	remote, ok2 := c.RemoteAddr().(*net.TCPAddr)
	if !ok1 || !ok2 {
		return 0, errors.New("socket owner: not a TCP connection")
	}
	uid, err := o.ask(remote.AddrPort(), local.AddrPort())
	if err != nil {
		return 0, fmt.Errorf("socket owner: %w", err)
	}
	return uid, nil
}

// Close gives the socket back.
func (o *Owners) Close() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.opened {
		return nil
	}
	o.opened = false
	return syscall.Close(o.fd)
}

// ask looks up the socket that is bound to from and connected to to. The kernel
// has put its answer into the socket before the question's call returns.
func (o *Owners) ask(from, to netip.AddrPort) (uid uint32, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.opened {
		if o.fd, err = openDiag(); err != nil {
			return 0, err
		}
		o.opened = true
	}
	o.number++
	answer, err := o.exchange(diagRequest(from, to, o.number))
	if err != nil {
		o.opened = false // the next question begins with a fresh one
		return 0, errors.Join(err, syscall.Close(o.fd))
	}
	return diagUID(answer)
}

// exchange gives the answer to a question. One to an earlier question cannot be
// there, so it is an error.
func (o *Owners) exchange(question []byte) ([]byte, error) {
	if err := syscall.Sendto(o.fd, question, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return nil, err
	}
	n, _, err := syscall.Recvfrom(o.fd, o.buf[:], syscall.MSG_DONTWAIT)
	if err != nil {
		return nil, err
	}
	if n < lenNlmsghdr || binary.NativeEndian.Uint32(o.buf[8:]) != o.number {
		return nil, errors.New("an answer to another question")
	}
	return o.buf[:n], nil
}

// askKernel sends a request and gives the socket on which the answer comes.
func askKernel(request []byte) (fd int, err error) {
	if fd, err = openDiag(); err != nil {
		return -1, err
	}
	if err := syscall.Sendto(fd, request, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		_ = syscall.Close(fd)
		return -1, err
	}
	return fd, nil
}

func openDiag() (fd int, err error) {
	return syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, netlinkSockDiag)
}

func diagRequest(from, to netip.AddrPort, number uint32) []byte {
	b := make([]byte, lenNlmsghdr+lenDiagReq)
	ne, be := binary.NativeEndian, binary.BigEndian
	ne.PutUint32(b[0:], uint32(len(b))) // 72
	ne.PutUint16(b[4:], sockDiagByFamily)
	ne.PutUint16(b[6:], syscall.NLM_F_REQUEST)
	ne.PutUint32(b[8:], number)
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
