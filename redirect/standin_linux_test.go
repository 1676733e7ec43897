package redirect

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/leno-mesh/leno/redirect/origdst"
	"github.com/leno-mesh/leno/test/netns"
	"go.uber.org/goleak"
)

// The users of these tests. None of them needs an entry in /etc/passwd.
const (
	applicationUID = 1000
	proxyUID       = 2102
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve gives every connection to a listener on h to handle, until the test
// ends.
func serve(t *testing.T, h *netns.Host, address string, handle func(net.Conn)) {
	t.Helper()
	listener, err := h.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer conn.Close(); handle(conn) })
		}
	})
	t.Cleanup(func() { listener.Close(); wg.Wait() })
}

// application says that it was reached, and by which of its ports.
func application(t *testing.T, h *netns.Host, ports ...uint16) {
	t.Helper()
	for _, port := range ports {
		serve(t, h, fmt.Sprintf("[::]:%d", port), func(c net.Conn) { fmt.Fprintf(c, "application %d", port) })
	}
}

// standIn listens where a proxy would and says which listener was reached and
// what the connection's original destination is.
func standIn(t *testing.T, h *netns.Host, c Config) {
	t.Helper()
	c = c.withDefaults()
	report := func(name string) func(net.Conn) {
		return func(conn net.Conn) {
			original, err := origdst.OriginalDst(conn.(*net.TCPConn))
			if err != nil {
				fmt.Fprint(conn, err)
				return
			}
			fmt.Fprintf(conn, "%s for %s", name, original)
		}
	}
	serve(t, h, fmt.Sprintf("127.0.0.1:%d", c.OutboundPort), report("outbound"))
	serve(t, h, fmt.Sprintf("[::1]:%d", c.OutboundPort), report("outbound"))
	serve(t, h, fmt.Sprintf("[::]:%d", c.InboundPort), report("inbound"))
}

// ask connects from h as uid and returns the one thing that the other end says.
func ask(ctx context.Context, h *netns.Host, uid uint32, to netip.AddrPort) string {
	conn, err := h.DialAs(ctx, uid, to.String())
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	answer, err := io.ReadAll(conn)
	if err != nil {
		return err.Error()
	}
	return string(answer)
}

// in runs f in the namespace of h and expects it to succeed.
func in(t *testing.T, h *netns.Host, doing string, f func() error) {
	t.Helper()
	if err := h.Do(f); err != nil {
		t.Fatalf("%s: %v", doing, err)
	}
}
