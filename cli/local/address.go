package local

import (
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"net/netip"
	"strconv"
)

// candidates is how many addresses are tried before giving up.
const candidates = 256

// FreeAddress finds a loopback address at which all the ports are free. The
// same name finds the same address as long as nobody else has it, so that a
// workload that is started again is where it was.
func FreeAddress(name string, ports ...int) (netip.Addr, error) {
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	for n := range uint32(candidates) {
		if a := address(h.Sum32() + n); free(a, ports) {
			return a, nil
		}
	}
	return netip.Addr{}, errors.New("no free loopback address; are hundreds of proxies running? see leno proxies")
}

// address gives one in 127.64.0.0/10, away from those that people use by
// hand; the last byte is neither 0 nor 255.
func address(n uint32) netip.Addr {
	n %= 64 * 256 * 254
	return netip.AddrFrom4([4]byte{127, byte(64 + n/(256*254)), byte(n / 254), byte(1 + n%254)})
}

// FreeBlock finds n loopback addresses in a row, 127.0.B.1 and up, at which
// all the ports are free.
func FreeBlock(n int, ports ...int) ([]netip.Addr, error) {
	for b := byte(10); b < 250; b++ {
		var block []netip.Addr
		for i := 1; i <= n; i++ {
			a := netip.AddrFrom4([4]byte{127, 0, b, byte(i)})
			if !free(a, ports) {
				break
			}
			block = append(block, a)
		}
		if len(block) == n {
			return block, nil
		}
	}
	return nil, fmt.Errorf("no %d free loopback addresses in a row; is something listening on all addresses? see ss -ltn", n)
}

func free(a netip.Addr, ports []int) bool {
	for _, p := range ports {
		l, err := net.Listen("tcp", net.JoinHostPort(a.String(), strconv.Itoa(p)))
		if err != nil {
			return false
		}
		_ = l.Close()
	}
	return true
}
