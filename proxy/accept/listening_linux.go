package accept

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"syscall"
)

const (
	stateListen = 10 // TCP_LISTEN
	lenDiagMsg  = 72
	offDiagPort = 4 // of struct inet_diag_msg
	offDiagAddr = 8
	attrV6Only  = 11 // INET_DIAG_SKV6ONLY
)

// Listening asks the kernel whether a socket of this network namespace listens
// at an address, without connecting to it.
func Listening(at netip.AddrPort) (bool, error) {
	for _, family := range []byte{syscall.AF_INET, syscall.AF_INET6} {
		found, err := listening(family, at)
		if err != nil {
			return false, fmt.Errorf("who listens at %s: %w", at, err)
		}
		if found {
			return true, nil
		}
	}
	return false, nil
}

func listening(family byte, at netip.AddrPort) (found bool, err error) {
	fd, err := askKernel(listenersRequest(family, at.Port()))
	if err != nil {
		return false, err
	}
	defer syscall.Close(fd)
	buf := make([]byte, 16<<10)
	for {
		n, _, err := syscall.Recvfrom(fd, buf, 0)
		if err != nil {
			return false, err
		}
		more, done, err := listenersIn(buf[:n], family, at)
		found = found || more
		if err != nil || done {
			return found, err
		}
	}
}

// listenersRequest asks for all sockets that listen on a port.
func listenersRequest(family byte, port uint16) []byte {
	b := make([]byte, lenNlmsghdr+lenDiagReq)
	ne := binary.NativeEndian
	ne.PutUint32(b[0:], uint32(len(b))) // 72
	ne.PutUint16(b[4:], sockDiagByFamily)
	ne.PutUint16(b[6:], syscall.NLM_F_REQUEST|syscall.NLM_F_DUMP)
	r := b[lenNlmsghdr:]
	r[0], r[1] = family, syscall.IPPROTO_TCP
	ne.PutUint32(r[4:], 1<<stateListen)
	binary.BigEndian.PutUint16(r[8:], port)
	return b
}

var errShortAnswer = errors.New("short answer")

// listenersIn reads one datagram of the answer, and says whether it was the last.
func listenersIn(b []byte, family byte, at netip.AddrPort) (found, done bool, err error) {
	ne := binary.NativeEndian
	for len(b) >= lenNlmsghdr {
		size := int(ne.Uint32(b))
		if size < lenNlmsghdr || size > len(b) {
			return found, true, errShortAnswer
		}
		body := b[lenNlmsghdr:size]
		switch ne.Uint16(b[4:]) {
		case syscall.NLMSG_DONE:
			return found, true, nil
		case syscall.NLMSG_ERROR:
			if len(body) < 4 {
				return found, true, errShortAnswer
			}
			return found, true, syscall.Errno(-int32(ne.Uint32(body))) // a negative errno
		case sockDiagByFamily:
			if len(body) < lenDiagMsg {
				return found, true, errShortAnswer
			}
			found = found || takes(body, family, at)
		}
		b = b[min((size+3)&^3, len(b)):] // messages begin at multiples of 4
	}
	return found, false, nil
}

// takes says whether a listener takes connections to an address: it is bound
// to that address, or to all of the family, which may be those of IPv4 too.
func takes(msg []byte, family byte, at netip.AddrPort) bool {
	if binary.BigEndian.Uint16(msg[offDiagPort:]) != at.Port() {
		return false
	}
	bound := netip.AddrFrom4([4]byte(msg[offDiagAddr:]))
	if family == syscall.AF_INET6 {
		bound = netip.AddrFrom16([16]byte(msg[offDiagAddr:])).Unmap()
	}
	want := at.Addr().Unmap()
	switch {
	case bound == want:
		return true
	case !bound.IsUnspecified():
		return false
	}
	return bound.Is4() == want.Is4() || bound.Is6() && !v6Only(msg[lenDiagMsg:])
}

// v6Only looks for the attribute of that name.
func v6Only(attrs []byte) bool {
	ne := binary.NativeEndian
	for len(attrs) >= 4 {
		size := int(ne.Uint16(attrs))
		if size < 4 || size > len(attrs) {
			return false
		}
		if ne.Uint16(attrs[2:]) == attrV6Only && size > 4 {
			return attrs[4] != 0
		}
		attrs = attrs[min((size+3)&^3, len(attrs)):]
	}
	return false
}
