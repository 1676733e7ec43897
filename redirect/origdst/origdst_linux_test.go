package origdst

import (
	"net"
	"net/netip"
	"testing"
)

// accepted returns the server's end of a connection to a listener at address.
func accepted(t *testing.T, address, host string) *net.TCPConn {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Skipf("listen: %v", err)
	}
	defer listener.Close()
	port := listener.Addr().(*net.TCPAddr).AddrPort().Port()
	client, err := net.Dial("tcp", netip.AddrPortFrom(netip.MustParseAddr(host), port).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close() })
	return server.(*net.TCPConn)
}

// Redirected connections are tested in package redirect, in real namespaces.
func TestNotRedirectedIsTheListenerItself(t *testing.T) {
	tests := []struct{ listen, dial string }{
		{"127.0.0.1:0", "127.0.0.1"},
		{"[::1]:0", "::1"},
		{"[::]:0", "127.0.0.1"}, // dual-stack
		{"[::]:0", "::1"},
	}
	for _, test := range tests {
		c := accepted(t, test.listen, test.dial)
		port := c.LocalAddr().(*net.TCPAddr).AddrPort().Port()
		want := netip.AddrPortFrom(netip.MustParseAddr(test.dial), port)
		if got, err := OriginalDst(c); err != nil || got != want {
			t.Errorf("listener %s, client to %s: got %v, %v, want %v", test.listen, test.dial, got, err, want)
		}
	}
}

func TestClosedConnectionIsAnError(t *testing.T) {
	c := accepted(t, "127.0.0.1:0", "127.0.0.1")
	c.Close()
	if got, err := OriginalDst(c); err == nil {
		t.Errorf("got %v", got)
	}
}

func TestAllocations(t *testing.T) {
	c := accepted(t, "127.0.0.1:0", "127.0.0.1")
	got := testing.AllocsPerRun(1000, func() {
		if _, err := OriginalDst(c); err != nil {
			t.Fatal(err)
		}
	})
	if got > 1 {
		t.Errorf("%v allocations per connection, want at most the one of SyscallConn", got)
	}
}
