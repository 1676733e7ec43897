package proxy_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/identity/identitytest"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/link"
	"github.com/leno-mesh/leno/proxy/proxytest"
)

// TestRefused has what could be understood in two ways answered with a reason
// and the connection closed, over every way in.
func TestRefused(t *testing.T) {
	const host = "Host: app.shop\r\n"
	tests := []struct {
		name, head, want string
	}{
		{"both lengths", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "400 bad-request"},
		{"two lengths", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "400 bad-request"},
		{"length list", "POST / HTTP/1.1\r\n" + host + "Content-Length: 1, 1\r\n\r\n", "400 bad-request"},
		{"length sign", "POST / HTTP/1.1\r\n" + host + "Content-Length: +1\r\n\r\n", "400 bad-request"},
		{"coding", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n", "501 not-implemented"},
		{"coding in 1.0", "POST / HTTP/1.0\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n", "400 bad-request"},
		{"chunk size", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n0x5\r\n", "400 bad-request"},
		{"chunk end", "POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n1\r\naXX", "400 bad-request"},
		{"folding", "GET / HTTP/1.1\r\n" + host + "A: b\r\n c\r\n\r\n", "400 bad-request"},
		{"space before colon", "GET / HTTP/1.1\r\n" + host + "A : b\r\n\r\n", "400 bad-request"},
		{"bare CR", "GET / HTTP/1.1\r\n" + host + "A: b\rc\r\n\r\n", "400 bad-request"},
		{"bare LF", "GET / HTTP/1.1\n" + host + "\r\n", "400 bad-request"},
		{"no host", "GET / HTTP/1.1\r\n\r\n", "400 bad-request"},
		{"two hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", "400 bad-request"},
		{"host and target", "GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", "400 bad-request"},
		{"version", "GET / HTTP/1.9\r\n" + host + "\r\n", "505 version-not-supported"},
		{"long target", "GET /" + strings.Repeat("x", 20<<10) + " HTTP/1.1\r\n" + host + "\r\n", "414 target-too-long"},
		{"long field", "GET / HTTP/1.1\r\n" + host + "A: " + strings.Repeat("x", 20<<10) + "\r\n\r\n", "431 header-too-large"},
		{"many fields", "GET / HTTP/1.1\r\n" + host + strings.Repeat("A: b\r\n", 200) + "\r\n", "431 header-too-large"},
		{"big head", "GET / HTTP/1.1\r\n" + host + strings.Repeat("A: "+strings.Repeat("x", 1000)+"\r\n", 100) + "\r\n", "431 header-too-large"},
	}
	p := pair(t, echo)
	for _, w := range ways {
		for _, tt := range tests {
			t.Run(w.name+"/"+tt.name, func(t *testing.T) {
				c := w.dial(t, p)
				_, _ = io.WriteString(c, tt.head)
				_ = c.SetReadDeadline(time.Now().Add(patience))
				r := bufio.NewReader(c)
				resp, err := http.ReadResponse(r, nil)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				if got := fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("leno-reason")); got != tt.want || !resp.Close {
					t.Errorf("%s, close %v, want %s", got, resp.Close, tt.want)
				}
				if _, err := r.ReadByte(); err == nil {
					t.Error("the connection goes on")
				}
			})
		}
	}
}

// TestForeignPeers has peers that are not who they should be refused, with a
// reason, and nothing else disturbed.
func TestForeignPeers(t *testing.T) {
	p := pair(t, echo)
	id := mesh.NewIdentity(proxytest.TrustDomain, "shop", "client")
	good := func(*x509.Certificate) {}
	tests := []struct {
		name  string
		ca    *identitytest.CA
		spoil func(*x509.Certificate)
		alpn  string
		none  bool
	}{
		{name: "another root", ca: identitytest.NewCA(t, proxytest.TrustDomain), spoil: good, alpn: link.ALPN},
		{name: "expired", ca: p.CA, alpn: link.ALPN, spoil: func(c *x509.Certificate) {
			c.NotBefore, c.NotAfter = time.Now().Add(-2*time.Hour), time.Now().Add(-time.Hour)
		}},
		{name: "no certificate", ca: p.CA, spoil: good, alpn: link.ALPN, none: true},
		{name: "no name", ca: p.CA, alpn: link.ALPN, spoil: func(c *x509.Certificate) { c.URIs = nil }},
		{name: "another protocol", ca: p.CA, spoil: good, alpn: "h2"},
	}
	refused := 0
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			key := identitytest.Key(t)
			template := tt.ca.Template(t, id, "client")
			tt.spoil(template)
			cfg := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{tt.alpn}, MinVersion: tls.VersionTLS13}
			if !tt.none {
				cfg.Certificates = []tls.Certificate{{Certificate: tt.ca.Chain(t, template, &key.PublicKey), PrivateKey: key}}
			}
			raw := dial(t, p.Server.Endpoint.Proxy)
			c := tls.Client(raw, cfg)
			_ = c.SetDeadline(time.Now().Add(patience))
			_, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
			for err == nil {
				_, err = c.Read(make([]byte, 100))
			}
			if nerr, ok := err.(net.Error); ok && nerr.Timeout() {
				t.Fatal("the peer was not refused")
			}
			refused++
			counted(t, p.Server.Metrics, "leno_failures_total", refused, `direction="inbound"`, `reason="peer-certificate"`)
		})
	}
	load(t, "http://"+p.Upstream.String()+"/", 1, 3, nil)
}

// TestWrongPeer has a proxy of another workload at the address of a known one be an endpoint that failed.
func TestWrongPeer(t *testing.T) {
	tests := []struct {
		name, reason string
		change       func(*mesh.Endpoint)
	}{
		{"identity", "wrong-identity", func(e *mesh.Endpoint) { e.Identity = "spiffe://test.leno/ns/shop/sa/other" }},
		{"workload", "wrong-workload", func(e *mesh.Endpoint) { e.Workload = "server-z" }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			spoil := func(first bool) func(*mesh.Destination) {
				return func(d *mesh.Destination) {
					if len(d.Sets) == 0 {
						return
					}
					d.Sets[0].Endpoints = append([]mesh.Endpoint(nil), d.Sets[0].Endpoints...)
					tt.change(&d.Sets[0].Endpoints[0])
					if first {
						d.Sets[0].Endpoints = d.Sets[0].Endpoints[:1]
					}
				}
			}
			p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{appAt(t, echo), appAt(t, echo)}, Tune: spoil(true)})
			resp, err := client(t).Get("http://" + p.Upstream.String() + "/")
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if got := resp.Header.Get("leno-reason"); got != tt.reason || resp.StatusCode != 502 {
				t.Errorf("status %d, reason %q", resp.StatusCode, got)
			}
			p.Retune(t, spoil(false)) // with another instance nobody notices
			load(t, "http://"+p.Upstream.String()+"/", 2, 10, nil)
			p.Retune(t, func(*mesh.Destination) {}) // healed
			for end := time.Now().Add(patience); sum(t, p.Servers()[0].Metrics, "request_total") == 0; {
				if time.Now().After(end) {
					t.Fatal("the instance is not used again")
				}
				load(t, "http://"+p.Upstream.String()+"/", 2, 10, nil)
			}
		})
	}
}

// TestDeniedLater has a new snapshot end the opaque connections that it does
// not allow.
func TestDeniedLater(t *testing.T) {
	app := newTCPApp(t)
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app.addr}})
	c := dial(t, p.Upstream)
	_, _ = io.WriteString(c, "\x00hello")
	s := app.conn(t, 0)
	expect(t, s, "\x00hello")
	m := *p.Server.Inbound
	m.Ports = append([]mesh.Port(nil), m.Ports...)
	m.Ports[0].Access = mesh.Access{Policies: []mesh.AccessRule{{Name: "shop/nobody"}}}
	if err := p.Server.Proxy.Inbound(&m); err != nil {
		t.Fatal(err)
	}
	for name, conn := range map[string]net.Conn{"client": c, "application": s} {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		if _, err := conn.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("%s: %v, want a reset", name, err)
		}
	}
}

// TestOtherPorts has ports that no service leads to served where the snapshot
// says that any may be called, with the policies for those.
func TestOtherPorts(t *testing.T) {
	p := pair(t, echo)
	m := *p.Server.Inbound
	m.Ports = nil
	take := func() {
		t.Helper()
		next := m
		if err := p.Server.Proxy.Inbound(&next); err != nil {
			t.Fatal(err)
		}
	}
	get := func() string {
		t.Helper()
		resp, err := client(t).Get("http://" + p.Upstream.String() + "/")
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("leno-reason"))
	}
	take()
	if got := get(); got != "502 port-not-served" {
		t.Errorf("a port that is not listed: %s", got)
	}
	m.Others = &mesh.Port{Target: netip.AddrPortFrom(p.Server.Endpoint.Addr.Addr(), 0)}
	take()
	if got := get(); got != "200 " {
		t.Errorf("any port may be called: %s", got)
	}
	m.Others = &mesh.Port{Target: m.Others.Target, Access: mesh.Access{Policies: []mesh.AccessRule{{Name: "shop/nobody"}}}}
	take()
	if got := get(); got != "403 denied" {
		t.Errorf("nobody may call: %s", got)
	}
}

// TestReach asks whether the application listens, as the inbound side dials
// it; the proxy's own ports say nothing.
func TestReach(t *testing.T) {
	app := appAt(t, echo)
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app}})
	if err := p.Server.Proxy.Reach(t.Context(), app.Port()); err != nil {
		t.Errorf("a port of the snapshot: %v", err)
	}
	if err := p.Server.Proxy.Reach(t.Context(), p.Server.Endpoint.Proxy.Port()); err == nil || !strings.Contains(err.Error(), "own") {
		t.Errorf("the proxy's own port: %v", err)
	}
	l, err := net.Listen("tcp", netip.AddrPortFrom(p.Server.Endpoint.Proxy.Addr(), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	if err := p.Server.Proxy.Reach(t.Context(), port); err != nil {
		t.Errorf("a port that no snapshot names: %v", err)
	}
	l.Close()
	if err := p.Server.Proxy.Reach(t.Context(), port); err == nil {
		t.Error("nobody listens any more")
	}
}
