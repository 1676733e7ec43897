package proxy_test

import (
	"bufio"
	"bytes"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/proxytest"
)

// TestAcceptCount has the application see no connections but those that its
// clients use.
func TestAcceptCount(t *testing.T) {
	var accepted atomic.Int64
	s := httptest.NewUnstartedServer(echo)
	s.Config.ConnState = func(_ net.Conn, st http.ConnState) {
		if st == http.StateNew {
			accepted.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{s.Listener.Addr().(*net.TCPAddr).AddrPort()}})
	load(t, "http://"+p.Upstream.String()+"/", 1, 1, nil)
	before := accepted.Load()
	for range 50 { // health checks that connect and close
		_ = dial(t, p.Upstream).Close()
	}
	// Clients that are silent at first and then speak HTTP: the ways that were
	// opened early serve their requests.
	for n := 1; n <= 10; n++ {
		c := dial(t, p.Upstream)
		for end := time.Now().Add(patience); accepted.Load() == before && n == 1 && time.Now().Before(end); {
			runtime.Gosched()
		}
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
		expect(t, c, "HTTP/1.1 200 OK\r\n")
		_ = c.Close()
	}
	if got := accepted.Load() - before; got > 3 {
		t.Errorf("%d more connections were accepted", got)
	}
}

// TestSlowReaders has bodies wait for whoever reads them slowly, with little
// in memory, in both directions and in both protocols.
func TestSlowReaders(t *testing.T) {
	const most = 80 << 20 // what the kernel gives four sockets at most, and ours
	big := bytes.Repeat([]byte{'\x00'}, 1<<20)
	push := func(t *testing.T, c net.Conn) (sent int) {
		for sent < 4*most {
			_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
			n, err := c.Write(big)
			if sent += n; err != nil {
				return sent
			}
		}
		return sent
	}
	for _, w := range ways {
		for name, head := range map[string]string{
			"http":   "POST / HTTP/1.1\r\nHost: app.shop\r\nContent-Length: 1000000000\r\n\r\n",
			"opaque": "\x00",
		} {
			if name == "opaque" && w.names() {
				continue
			}
			t.Run(w.name+"/"+name, func(t *testing.T) {
				app := newTCPApp(t)
				c := w.dial(t, w.pair(t, app.addr))
				_, _ = io.WriteString(c, head)
				s := app.conn(t, 0)
				if sent := push(t, c); sent >= most {
					t.Errorf("%d bytes went up without a reader", sent)
				}
				if name == "http" {
					_, _ = io.WriteString(s, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
				}
				if sent := push(t, s); sent >= most {
					t.Errorf("%d bytes went down without a reader", sent)
				}
			})
		}
	}
}

// TestNoEndpoint has requests to a service without instances wait for one.
func TestNoEndpoint(t *testing.T) {
	none := func(d *mesh.Destination) {
		for i := range d.Sets {
			d.Sets[i].Endpoints = nil
		}
	}
	for _, kind := range []string{"http", "opaque"} {
		t.Run(kind, func(t *testing.T) {
			app := newTCPApp(t)
			p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app.addr}, Tune: none})
			c := dial(t, p.Upstream)
			if kind == "http" {
				_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: a\r\n\r\n")
			} else {
				_, _ = io.WriteString(c, "\x00")
			}
			<-p.Asked
			p.Retune(t, func(*mesh.Destination) {})
			s := app.conn(t, 0)
			if kind == "http" {
				_, err := http.ReadRequest(bufio.NewReader(s))
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			expect(t, s, "\x00")
		})
	}
}
