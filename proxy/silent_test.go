package proxy_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/leno-mesh/leno/mesh"
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
