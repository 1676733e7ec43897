package proxy_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// byByte writes each byte by itself.
type byByte struct{ net.Conn }

func (c byByte) Write(p []byte) (int, error) {
	for i := range p {
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
	}
	return len(p), nil
}

// TestTLSOfTheApplication has TLS pass untouched, and counted by the name that
// the client asked for, however the client's bytes were split.
func TestTLSOfTheApplication(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "asked for %q", r.TLS.ServerName)
	}))
	t.Cleanup(s.Close)
	for _, w := range ways {
		if w.names() || w.inside {
			continue // no name of a destination in it, or nothing to be looked at
		}
		t.Run(w.name, func(t *testing.T) {
			p := w.pair(t, s.Listener.Addr().(*net.TCPAddr).AddrPort())
			for n, name := range []string{"db.example.com", ""} {
				for _, wrap := range []func(net.Conn) net.Conn{
					func(c net.Conn) net.Conn { return c },
					func(c net.Conn) net.Conn { return byByte{c} },
				} {
					c := tls.Client(wrap(w.dial(t, p)), &tls.Config{ServerName: name, InsecureSkipVerify: true})
					fmt.Fprint(c, "GET / HTTP/1.0\r\n\r\n")
					expect(t, c, "HTTP/1.0 200 OK\r\n")
					_ = c.Close()
				}
				metrics, label := p.ClientMetrics, fmt.Sprintf(`sni=%q`, name)
				for _, direction := range []string{`direction="outbound"`, `direction="inbound"`} {
					counted(t, metrics, "leno_tls_open_total", 2*(n+1), direction)
					if name != "" {
						counted(t, metrics, "leno_tls_open_total", 2, direction, label)
					}
					if metrics = p.Server.Metrics; w.alone {
						break // nobody counts there
					}
				}
			}
		})
	}
}
