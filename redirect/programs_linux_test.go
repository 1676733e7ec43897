package redirect

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/leno-mesh/leno/redirect/origdst"
	"github.com/leno-mesh/leno/test/harness"
	"github.com/leno-mesh/leno/test/netns"
)

// journal is what the stand-in proxies of a test saw.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(line string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, line)
}

func (j *journal) has(line string) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Contains(j.lines, line)
}

// forward stands in for a proxy on h: it takes captured connections, notes
// where they were going, and carries them there as the proxy's user.
func forward(t *testing.T, h *netns.Host, j *journal) {
	t.Helper()
	carry := func(name string) func(net.Conn) {
		return func(client net.Conn) {
			original, err := origdst.OriginalDst(client.(*net.TCPConn))
			if err != nil {
				j.add(err.Error())
				return
			}
			j.add(fmt.Sprintf("%s %s for %s", h.Name, name, original))
			server, err := h.DialAs(t.Context(), proxyUID, original.String())
			if err != nil {
				j.add(err.Error())
				return
			}
			defer server.Close()
			both(client.(*net.TCPConn), server.(*net.TCPConn))
		}
	}
	serve(t, h, "127.0.0.1:4140", carry("outbound"))
	serve(t, h, "[::1]:4140", carry("outbound"))
	serve(t, h, "[::]:4143", carry("inbound"))
}

// both copies in both directions until both are done.
func both(a, b *net.TCPConn) {
	var wg sync.WaitGroup
	for _, way := range [][2]*net.TCPConn{{a, b}, {b, a}} {
		wg.Go(func() {
			io.Copy(way[0], way[1])
			way[0].CloseWrite()
		})
	}
	wg.Wait()
}

// TestProgramsThatKnowNothing lets curl, as an ordinary user, talk to an
// ordinary HTTP server through two stand-in proxies.
func TestProgramsThatKnowNothing(t *testing.T) {
	harness.Need(t, "curl", "curl") // it is the unknowing program here
	network := netns.New(t, "client", "server")
	client, server := network.Host("client"), network.Host("server")
	serveHTTP(t, server)
	seen := new(journal)
	for _, h := range []*netns.Host{client, server} {
		forward(t, h, seen)
		in(t, h, "apply", func() error { return Apply(Config{}) })
	}
	for _, addr := range server.Addrs() {
		to := netip.AddrPortFrom(addr, 8080)
		out, err := client.Run(applicationUID, "curl", "-gsS", "--max-time", "20", "--data", "ping", "http://"+to.String()+"/")
		if err != nil || out != "you said ping" {
			t.Errorf("curl to %s: %q, %v", to, out, err)
		}
		for _, want := range []string{
			fmt.Sprintf("client outbound for %s", to),
			fmt.Sprintf("server inbound for %s", to),
		} {
			if !seen.has(want) {
				t.Errorf("nobody saw %q in %q", want, seen.lines)
			}
		}
	}
}

func serveHTTP(t *testing.T, h *netns.Host) {
	t.Helper()
	listener, err := h.Listen("[::]:8080")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "you said %s", body)
	})}
	var wg sync.WaitGroup
	wg.Go(func() { web.Serve(listener) })
	t.Cleanup(func() { web.Close(); wg.Wait() })
}

// TestWarningsSeeARealProcess starts a program as the proxy's user.
func TestWarningsSeeARealProcess(t *testing.T) {
	h := netns.New(t, "h").Host("h")
	start := func(uid uint32) *netns.Process {
		p, err := h.Start(uid, exec.Command("sleep", "1000"))
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	start(applicationUID)
	wrong := start(64123)
	var got []string
	in(t, h, "look", func() error { got = Warnings(Config{ProxyUID: 64123}); return nil })
	want := fmt.Sprintf("process %d (sleep)", wrong.PID())
	if len(got) != 1 || !strings.HasPrefix(got[0], want) {
		t.Errorf("got %q, want one that begins with %q", got, want)
	}
}
