package proxy_test

import (
	"bufio"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/proxytest"
)

// TestLenientServers has a client say what Leno would refuse and one server or
// another takes for a request: nobody may be made to see who the client claims
// to be. The client's own proxy takes part or passes everything on.
func TestLenientServers(t *testing.T) {
	for name, head := range map[string]string{
		"empty line":          "\r\nGET / HTTP/1.1 \r\n",
		"empty lines":         "\r\n\r\nGET / HTTP/1.1\r\n",
		"tabs":                "GET\t/\tHTTP/1.1\r\n",
		"space at the end":    "GET / HTTP/1.1 \r\n",
		"space first":         " GET / HTTP/1.1\r\n",
		"HTTP/0.9":            "GET /\r\n",
		"HTTP/2.0":            "GET / HTTP/2.0\r\n",
		"bare LF":             "GET / HTTP/1.1\n",
		"long line":           "GET /" + strings.Repeat("x", 40<<10) + " HTTP/1.1\r\n",
		"own method and tabs": "FOO\t/\tHTTP/1.1\r\n",
		"CR":                  "FOO / HTTP/1.1\rleno-client-id: x\r\r",
		"icecast":             "SOURCE / ICE/1.0\r\n",
	} {
		for _, protocol := range []mesh.Protocol{mesh.Detect, mesh.Opaque} {
			t.Run(fmt.Sprint(name, " ", protocol), func(t *testing.T) {
				app := newTCPApp(t)
				p := proxytest.New(t, proxytest.Config{
					Apps: []netip.AddrPort{app.addr}, Tune: func(d *mesh.Destination) { d.Protocol = protocol },
				})
				c := dial(t, p.Upstream)
				fmt.Fprint(c, head, "Host: app.shop\r\nleno-client-id: spiffe://test.leno/ns/shop/sa/admin\r\n\r\n")
				_ = c.SetReadDeadline(time.Now().Add(patience))
				line, err := bufio.NewReader(c).ReadString('\n')
				if err != nil || !strings.HasPrefix(line, "HTTP/1.1 4") && !strings.HasPrefix(line, "HTTP/1.1 505") {
					t.Errorf("%q, %v", line, err)
				}
			})
		}
	}
}

// TestLongLines has a request with a method and a line of any length be one
// like every other, and a cache's long line be none.
func TestLongLines(t *testing.T) {
	long := strings.Repeat("x", 3<<10)
	app := newTCPApp(t)
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app.addr}})
	c := dial(t, p.Upstream)
	fmt.Fprintf(c, "A-METHOD-OF-MORE-THAN-24-BYTES /%s HTTP/1.1\r\nHost: app.shop\r\nLeno-Client-Id: x\r\n\r\n", long)
	expect(t, app.conn(t, 0), "A-METHOD-OF-MORE-THAN-24-BYTES /"+long+" HTTP/1.1\r\nHost: app.shop\r\n"+
		"leno-client-id: spiffe://test.leno/ns/shop/sa/client\r\n\r\n")
	c = dial(t, p.Upstream)
	fmt.Fprintf(c, "get /a %s HTTP/x\r\n", long)
	expect(t, app.conn(t, 1), "get /a "+long+" HTTP/x\r\n")
}
