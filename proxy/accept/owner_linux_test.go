package accept

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"testing"
)

// accepted connects to a listener, and gives the listener's end.
func accepted(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	t.Cleanup(func() { l.Close() })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestOwners(t *testing.T) {
	for _, network := range []string{"tcp4", "tcp6"} {
		t.Run(network, func(t *testing.T) {
			at := map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"}[network]
			l, err := net.Listen(network, at)
			if err != nil {
				t.Skip(err)
			}
			s := accepted(t, l)
			var owners Owners
			nobody := netip.AddrPortFrom(s.LocalAddr().(*net.TCPAddr).AddrPort().Addr(), 1)
			for range 2 {
				uid, err := owners.UID(s)
				if err != nil || int(uid) != os.Getuid() {
					t.Errorf("owner %d, %v; want %d", uid, err, os.Getuid())
				}
				if uid, err := owners.ask(nobody, nobody); !errors.Is(err, syscall.ENOENT) {
					t.Errorf("owner of no socket: %d, %v", uid, err)
				}
			}
			if err := owners.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestOwnerOfAnotherUser connects as another user, which only root can try.
func TestOwnerOfAnotherUser(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("LENO_TEST_REQUIRE_ROOT") != "" {
			t.Fatal("this test must run as root")
		}
		t.Skip("needs root to become another user")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	cmd := exec.Command("/bin/bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/"+port+"; read -u 3 line")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 12345, Gid: 12345}}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var owners Owners
	defer owners.Close()
	uid, err := owners.UID(s)
	s.Close()
	_ = cmd.Wait()
	if err != nil || uid != 12345 {
		t.Errorf("owner %d, %v; want 12345", uid, err)
	}
}

// TestOwnersLostSocket asks on a socket that gives nothing, and then again.
func TestOwnersLostSocket(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := accepted(t, l)
	owners := Owners{opened: true}
	defer owners.Close()
	if owners.fd, err = syscall.Dup(int(os.Stderr.Fd())); err != nil {
		t.Fatal(err)
	}
	if uid, err := owners.UID(s); err == nil {
		t.Errorf("a file that is no socket said %d", uid)
	}
	if uid, err := owners.UID(s); err != nil || int(uid) != os.Getuid() {
		t.Errorf("after a lost socket: owner %d, %v; want %d", uid, err, os.Getuid())
	}
}
