//go:build linux

package netns_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leno-mesh/leno/test/netns"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// greet serves one greeting per connection until the test ends.
func greet(t *testing.T, h *netns.Host, address, greeting string) (port uint16) {
	t.Helper()
	listener, err := h.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			io.WriteString(conn, greeting)
			conn.Close()
		}
	}()
	t.Cleanup(func() { listener.Close(); <-done })
	return listener.Addr().(*net.TCPAddr).AddrPort().Port()
}

func read(ctx context.Context, h *netns.Host, to netip.AddrPort) (string, error) {
	conn, err := h.Dial(ctx, to.String())
	if err != nil {
		return "", err
	}
	defer conn.Close()
	all, err := io.ReadAll(conn)
	return string(all), err
}

func TestHostsReachEachOther(t *testing.T) {
	network := netns.New(t, "a", "b")
	a, b := network.Host("a"), network.Host("b")
	port := greet(t, b, "[::]:0", "hello from b")
	for _, addr := range b.Addrs() {
		got, err := read(t.Context(), a, netip.AddrPortFrom(addr, port))
		if err != nil || got != "hello from b" {
			t.Errorf("from %s: %q, %v", addr, got, err)
		}
	}
	if _, err := net.Dial("tcp", netip.AddrPortFrom(b.IPv4, port).String()); err == nil {
		t.Error("the machine's own network reaches into the hosts")
	}
}

func TestCaptureSeesPlainTextInBothDirections(t *testing.T) {
	network := netns.New(t, "a", "b")
	a, b := network.Host("a"), network.Host("b")
	port := greet(t, b, "[::]:0", "a secret of b")
	for _, addr := range b.Addrs() {
		here, there := a.Capture(), b.Capture()
		elsewhere := a.CaptureOn("lo")
		if _, err := read(t.Context(), a, netip.AddrPortFrom(addr, port)); err != nil {
			t.Fatal(err)
		}
		for name, c := range map[string]*netns.Capture{"client": here, "server": there} {
			c.Stop()
			if !c.Contains("secret of b") || c.Contains("another") || c.Packets() == 0 {
				t.Errorf("%s, at the %s: %d packets, text found: %v", addr, name, c.Packets(), c.Contains("secret of b"))
			}
		}
		elsewhere.Stop()
		if elsewhere.Contains("secret") {
			t.Error("the text is on the loopback interface too")
		}
	}
}

func TestLinkDownCutsAndLinkUpHeals(t *testing.T) {
	network := netns.New(t, "a", "b")
	a, b := network.Host("a"), network.Host("b")
	port := greet(t, b, "[::]:0", "x")
	to := netip.AddrPortFrom(b.IPv4, port)
	if _, err := read(t.Context(), a, to); err != nil {
		t.Fatal(err)
	}
	b.LinkDown()
	short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := read(short, a, to); err == nil {
		t.Error("a reaches b without a cable")
	}
	b.LinkUp()
	if _, err := read(t.Context(), a, to); err != nil {
		t.Errorf("a does not reach b again: %v", err)
	}
}

func TestProgramsRunAsTheirUserAndEndWithTheTest(t *testing.T) {
	netns.RequireRoot(t)
	var process *netns.Process
	t.Run("inner", func(t *testing.T) {
		a := netns.New(t, "a").Host("a")
		out, err := a.Run(1000, "id", "-u")
		if err != nil || strings.TrimSpace(out) != "1000" {
			t.Errorf("id -u: %q, %v", out, err)
		}
		out, err = a.Run(1000, "cat", "/proc/net/dev")
		if err != nil || !strings.Contains(out, "eth0") || strings.Contains(out, "bridge") {
			t.Errorf("interfaces: %s, %v", out, err)
		}
		process, err = a.Start(1000, exec.Command("sh", "-c", "sleep 1000; true"))
		if err != nil {
			t.Fatal(err)
		}
	})
	select {
	case <-process.Done():
	default:
		t.Fatal("the process outlives its test")
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", process.PID())); err == nil {
		t.Error("the process is still there")
	}
}

func TestWithoutRootSkipsOrFails(t *testing.T) {
	netns.RequireRoot(t)
	for _, test := range []struct{ env, want string }{
		{"LENO_TEST_REQUIRE_ROOT=0", "--- SKIP"},
		{"LENO_TEST_REQUIRE_ROOT=1", "--- FAIL"},
	} {
		again := exec.Command("/proc/self/exe", "-test.run=^TestHostsReachEachOther$", "-test.v")
		again.Env = append(os.Environ(), test.env)
		again.Dir = "/"
		again.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 1000}}
		out, _ := again.CombinedOutput()
		if !strings.Contains(string(out), test.want) || !strings.Contains(string(out), "root") {
			t.Errorf("%s: want %s and the reason, got\n%s", test.env, test.want, out)
		}
	}
}
