package origdst

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"unsafe"
)

// soOriginalDst is SO_ORIGINAL_DST of linux/netfilter_ipv4.h, and also
// IP6T_SO_ORIGINAL_DST of linux/netfilter_ipv6/ip6_tables.h.
const soOriginalDst = 80

// OriginalDst returns the address and port that the peer of c connected to,
// IPv4 addresses never in their IPv6-mapped form and IPv6 addresses without
// their zone.
//
// A connection that was not redirected has its own local address as its
// original destination. That is what is returned for it, also where the
// kernel tracks no connections at all. So a caller that finds its listener's
// own address knows that the client came directly.
func OriginalDst(c *net.TCPConn) (netip.AddrPort, error) {
	local := localAddr(c)
	raw, err := c.SyscallConn()
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("original destination: %w", err)
	}
	q := queries.Get().(*query)
	defer queries.Put(q)
	q.level = syscall.IPPROTO_IPV6
	if local.Addr().Is4() {
		// Also right for an IPv4 client of a dual-stack listener.
		q.level = syscall.IPPROTO_IP
	}
	if err := raw.Control(q.run); err != nil {
		return netip.AddrPort{}, fmt.Errorf("original destination: %w", err)
	}
	switch {
	case q.errno == 0:
		return q.answer()
	case untracked(q.errno):
		return local, nil
	default:
		return netip.AddrPort{}, fmt.Errorf("original destination: getsockopt: %w", q.errno)
	}
}

// untracked tells the errors by which the kernel says that it knows of no
// translation: the connection is not in its table, or it keeps no table.
func untracked(e syscall.Errno) bool {
	return errors.Is(e, syscall.ENOENT) || errors.Is(e, syscall.ENOPROTOOPT)
}

func localAddr(c *net.TCPConn) netip.AddrPort {
	a, ok := c.LocalAddr().(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ip, _ := netip.AddrFromSlice(a.IP)
	return netip.AddrPortFrom(ip.Unmap(), uint16(a.Port))
}

// queries keeps the closures that RawConn.Control needs. Without it each
// accepted connection would cost three small allocations instead of one.
var queries = sync.Pool{New: func() any { //nolint:gochecknoglobals // a table; never written
	q := new(query)
	q.run = q.ask
	return q
}}

// query is one getsockopt call: its question, the kernel's answer, and the
// function value that RawConn.Control is given.
type query struct {
	run   func(fd uintptr)
	level uintptr
	errno syscall.Errno
	addr  syscall.RawSockaddrInet6 // room for both families
}

func (q *query) ask(fd uintptr) {
	size := uint32(unsafe.Sizeof(q.addr))
	_, _, q.errno = syscall.RawSyscall6(syscall.SYS_GETSOCKOPT, fd, q.level, soOriginalDst,
		uintptr(unsafe.Pointer(&q.addr)), uintptr(unsafe.Pointer(&size)), 0)
}

func (q *query) answer() (netip.AddrPort, error) {
	switch q.addr.Family {
	case syscall.AF_INET:
		a := (*syscall.RawSockaddrInet4)(unsafe.Pointer(&q.addr))
		return netip.AddrPortFrom(netip.AddrFrom4(a.Addr), hostOrder(&a.Port)), nil
	case syscall.AF_INET6:
		return netip.AddrPortFrom(netip.AddrFrom16(q.addr.Addr).Unmap(), hostOrder(&q.addr.Port)), nil
	default:
		return netip.AddrPort{}, fmt.Errorf("original destination: address family %d", q.addr.Family)
	}
}

// hostOrder reads a port that the kernel wrote in network byte order.
func hostOrder(port *uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(port))
	return uint16(b[0])<<8 | uint16(b[1])
}
