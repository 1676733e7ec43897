package accept

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"syscall"
	"testing"
)

// TestListening asks a real kernel about real listeners.
func TestListening(t *testing.T) {
	for name, test := range map[string]struct {
		network, addr string
		v6only        bool
		at            string
		want          bool
	}{
		"the address":                 {"tcp4", "127.0.0.7", false, "127.0.0.7", true},
		"another address":             {"tcp4", "127.0.0.7", false, "127.0.0.8", false},
		"all of IPv4":                 {"tcp4", "0.0.0.0", false, "127.0.0.8", true},
		"all of IPv4, asked for IPv6": {"tcp4", "0.0.0.0", false, "::1", false},
		"IPv6":                        {"tcp6", "::1", false, "::1", true},
		"all of both":                 {"tcp", "::", false, "127.0.0.8", true},
		"all of both, asked for IPv6": {"tcp", "::", false, "::1", true},
		"all of IPv6":                 {"tcp6", "::", true, "127.0.0.8", false},
		"all of IPv6, asked for it":   {"tcp6", "::", true, "::1", true},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, test.network, test.addr, test.v6only)
			port := uint16(l.Addr().(*net.TCPAddr).Port)
			at := netip.AddrPortFrom(netip.MustParseAddr(test.at), port)
			if got, err := Listening(at); err != nil || got != test.want {
				t.Errorf("%v, %v; want %v", got, err, test.want)
			}
			// A connection that stands is no listener.
			c, err := net.Dial("tcp", net.JoinHostPort(l.Addr().(*net.TCPAddr).IP.String(), portOf(l)))
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if got, err := Listening(at); err != nil || got {
				t.Errorf("%v, %v after it closed", got, err)
			}
		})
	}
}

func portOf(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func listen(t *testing.T, network, addr string, v6only bool) net.Listener {
	t.Helper()
	cfg := net.ListenConfig{}
	if v6only {
		cfg.Control = func(_, _ string, c syscall.RawConn) error {
			return c.Control(func(fd uintptr) {
				if err := syscall.SetsockoptInt(int(fd), syscall.IPPROTO_IPV6, syscall.IPV6_V6ONLY, 1); err != nil {
					t.Error(err)
				}
			})
		}
	}
	l, err := cfg.Listen(context.Background(), network, net.JoinHostPort(addr, "0"))
	switch {
	case err != nil && strings.Contains(addr, ":"):
		t.Skip("no IPv6 here:", err)
	case err != nil:
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// TestListenersIn reads answers that no kernel gives.
func TestListenersIn(t *testing.T) {
	at := netip.MustParseAddrPort("127.0.0.1:80")
	whole := listenersRequest(syscall.AF_INET, 80)
	for name, b := range map[string][]byte{
		"longer than it is":   append([]byte{255, 0, 0, 0}, make([]byte, 20)...),
		"shorter than a head": append([]byte{4, 0, 0, 0}, make([]byte, 20)...),
		"without a body":      append([]byte{16, 0, 0, 0, sockDiagByFamily, 0}, make([]byte, 10)...),
		"an error cut off":    append([]byte{18, 0, 0, 0, syscall.NLMSG_ERROR, 0}, make([]byte, 14)...),
		"half":                whole[:70],
	} {
		t.Run(name, func(t *testing.T) {
			if found, done, err := listenersIn(b, syscall.AF_INET, at); found || !done || err == nil {
				t.Errorf("%v %v %v", found, done, err)
			}
		})
	}
}
