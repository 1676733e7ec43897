package proxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/proxytest"
)

// TestEndAtOnce has a client that ends its direction at once count as one that
// is gone, but where the protocol is declared: there it gets what the server
// says.
func TestEndAtOnce(t *testing.T) {
	for _, protocol := range []mesh.Protocol{mesh.Detect, mesh.Opaque} {
		t.Run(protocol.String(), func(t *testing.T) {
			app := newTCPApp(t)
			p := proxytest.New(t, proxytest.Config{
				Apps: []netip.AddrPort{app.addr}, Tune: func(d *mesh.Destination) { d.Protocol = protocol },
			})
			c := dial(t, p.Upstream)
			if err := c.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			_ = c.SetReadDeadline(time.Now().Add(patience))
			if protocol == mesh.Detect {
				if _, err := c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
					t.Errorf("no reset but %v", err)
				}
				return
			}
			s := app.conn(t, 0)
			_, _ = io.WriteString(s, "12:00:00\r\n")
			if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || line != "12:00:00\r\n" {
				t.Errorf("%q, %v", line, err)
			}
		})
	}
}

// TestEndBehindRequest has a client of HTTP/1 end its direction behind its request. It
// gets its answer. Where none comes for a while it counts as one that is gone, and the
// application hears of it.
func TestEndBehindRequest(t *testing.T) {
	const begin, rest = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nla", "te"
	for _, tt := range []struct {
		name  string
		says  string // the application, before it goes on or the client is given up
		ended time.Duration
	}{
		{"answered", begin, time.Hour},
		{"given up", "", 1},
		{"given up in the middle of the answer", begin, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			app := newTCPApp(t)
			p := limited(t, app.addr, func(c *proxy.Config) { c.Times.ClientEnded = tt.ended })
			c := dial(t, p.Upstream)
			_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: app.shop\r\n\r\n")
			must(t, c.(*net.TCPConn).CloseWrite())
			s := app.conn(t, 0)
			request := bufio.NewReader(s)
			if _, err := http.ReadRequest(request); err != nil {
				t.Fatal(err)
			}
			_, _ = io.WriteString(s, tt.says)
			if tt.ended > 1 {
				_, _ = io.WriteString(s, rest)
				resp, err := http.ReadResponse(bufio.NewReader(c), nil)
				must(t, err)
				expect(t, resp.Body, "late")
				return
			}
			_ = s.SetReadDeadline(time.Now().Add(patience))
			if b, err := request.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("the application heard of nothing: %q, %v", b, err)
			}
			_ = c.SetReadDeadline(time.Now().Add(patience))
			if _, err := io.Copy(io.Discard, c); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the client saw no reset but %v", err)
			}
			counted(t, p.ClientMetrics, "leno_failures_total", 1, `reason="client-gone"`)
		})
	}
}
