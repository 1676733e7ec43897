//nolint:staticcheck // x/net's own HTTP/2 is the foreign peer, whatever net/http has by now
package proxy_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/proxytest"
)

// h2App is an application that speaks HTTP/2 with prior knowledge, by another
// implementation, and nothing else.
func h2App(t testing.TB, tune func(*http.HTTP2Config), h http.HandlerFunc) *h2Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &h2Server{addr: l.Addr().(*net.TCPAddr).AddrPort(), Listener: l}
	s := &http.Server{Handler: h, HTTP2: &http.HTTP2Config{}, Protocols: &http.Protocols{}}
	s.Protocols.SetUnencryptedHTTP2(true)
	if tune != nil {
		tune(s.HTTP2)
	}
	var wg sync.WaitGroup
	wg.Go(func() { _ = s.Serve(a) })
	t.Cleanup(func() {
		_ = s.Close()
		wg.Wait()
	})
	return a
}

type h2Server struct {
	net.Listener
	addr     netip.AddrPort
	accepted atomic.Int32 // connections
	spoken   atomic.Int32 // writes on them
}

func (a *h2Server) Accept() (net.Conn, error) {
	c, err := a.Listener.Accept()
	if err != nil {
		return nil, err
	}
	a.accepted.Add(1)
	return spokenConn{c, a}, nil
}

type spokenConn struct {
	net.Conn
	app *h2Server
}

func (c spokenConn) Write(p []byte) (int, error) {
	defer c.app.spoken.Add(1)
	return c.Conn.Write(p)
}

// h2Client is a client of another implementation; every request goes to one
// address.
func h2Client(t testing.TB, to netip.AddrPort) *http.Client {
	tr := &http2.Transport{
		AllowHTTP: true, DisableCompression: true,
		DialTLSContext: func(ctx context.Context, _, _ string, _ *tls.Config) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", to.String())
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// TestHTTP2 asks an application with HTTP/2 over both ways in: what the client
// spoke is what the application hears.
func TestHTTP2(t *testing.T) {
	app := h2App(t, nil, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("Trailer", "X-Sum")
		w.Header()["leno-reason"] = []string{"faked"}
		w.Header().Set("X-Case", "kept")
		fmt.Fprintf(w, "%s %s %s %s %q", r.Proto, r.Method, r.Host, r.Header.Get("Leno-Client-Id"), body)
		w.Header().Set("X-Sum", fmt.Sprint(len(body), r.Trailer))
	})
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app.addr}})
	for name, to := range map[string]netip.AddrPort{"upstream": p.Upstream, "forward": p.Outbound} {
		t.Run(name, func(t *testing.T) {
			client := h2Client(t, to)
			for _, body := range []string{"", "hello", strings.Repeat("long ", 100_000)} {
				req, _ := http.NewRequest(http.MethodPost, "http://app.shop/items?q=1", io.NopCloser(bytes.NewReader([]byte(body))))
				req.Header.Set("leno-client-id", "spiffe://test.leno/ns/shop/sa/faked")
				req.Trailer = http.Header{"X-Tail": {"end"}}
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil {
					t.Fatal(err)
				}
				want := fmt.Sprintf("HTTP/2.0 POST app.shop spiffe://test.leno/ns/shop/sa/client %q", body)
				if string(got) != want {
					t.Errorf("got %.200q\nwant %.200q", got, want)
				}
				if tail := resp.Trailer.Get("X-Sum"); tail != fmt.Sprintf("%d map[X-Tail:[end]]", len(body)) {
					t.Errorf("trailer %q", tail)
				}
				if resp.Header.Get("leno-reason") != "" || resp.Header.Get("X-Case") != "kept" {
					t.Errorf("fields %v", resp.Header)
				}
			}
		})
	}
	counted(t, p.Server.Metrics, "response_total", 6, `direction="inbound"`)
}

// typist writes what it is given in pieces: a pause comes before the byte
// number at, and a piece ends after every size bytes before that.
type typist struct {
	net.Conn
	at, size int
	pause    func()
	written  int
}

func (c *typist) Write(p []byte) (n int, err error) {
	for n < len(p) && err == nil {
		if c.written == c.at {
			c.pause()
		}
		size := len(p) - n
		if c.written < c.at {
			size = min(size, c.at-c.written)
		}
		if c.size > 0 && c.written < len(http2.ClientPreface) {
			size = min(size, c.size)
		}
		var k int
		k, err = c.Conn.Write(p[n : n+size])
		n += k
		c.written += k
	}
	return n, err
}

// getBy asks once on a connection of its own, which the caller shapes.
func getBy(t *testing.T, c net.Conn) {
	t.Helper()
	tr := &http2.Transport{AllowHTTP: true}
	cc, err := tr.NewClientConn(c)
	if err != nil {
		t.Fatal(err)
	}
	defer cc.Close()
	req, _ := http.NewRequest(http.MethodGet, "http://app.shop/", nil)
	resp, err := cc.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "HTTP/2.0" {
		t.Errorf("got %q, %v", b, err)
	}
}

func sayProto(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }

// TestPrefaceSplit has the preface come in two pieces, split at every place,
// and byte by byte.
func TestPrefaceSplit(t *testing.T) {
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{h2App(t, nil, sayProto).addr}})
	for at := range len(http2.ClientPreface) {
		getBy(t, &typist{Conn: dial(t, p.Upstream), at: at, pause: runtime.Gosched})
	}
	getBy(t, &typist{Conn: dial(t, p.Upstream), at: -1, size: 1})
}

// eagerApp is an application that speaks first, as grpc's servers do, and
// answers every request.
func eagerApp(t *testing.T) *h2Server {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &h2Server{addr: l.Addr().(*net.TCPAddr).AddrPort(), Listener: l}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := a.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { defer c.Close(); answerAll(c) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return a
}

func answerAll(c net.Conn) {
	f := http2.NewFramer(c, c)
	if f.WriteSettings() != nil {
		return
	}
	if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	for {
		fr, err := f.ReadFrame()
		if err != nil {
			return
		}
		if h, ok := fr.(*http2.HeadersFrame); ok {
			_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: h.StreamID, EndHeaders: true, BlockFragment: []byte{0x88}}) // 200
			_ = f.WriteData(h.StreamID, true, []byte("HTTP/2.0"))
		}
	}
}

// TestLatePreface has a client wait until the server has spoken. What the
// server said is HTTP/2 or nothing, so the connection stays HTTP/2.
func TestLatePreface(t *testing.T) {
	for _, at := range []int{0, 5, 23} {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			app := eagerApp(t)
			p := proxytest.New(t, proxytest.Config{
				Apps:  []netip.AddrPort{app.addr},
				Limit: func(c *proxy.Config) { c.Grace = time.Millisecond },
			})
			silent := func() {
				for end := time.Now().Add(patience); time.Now().Before(end); runtime.Gosched() {
					if at > 0 || app.spoken.Load() > 0 {
						return
					}
				}
				t.Error("no way to the server was opened early")
			}
			getBy(t, &typist{Conn: dial(t, p.Upstream), at: at, pause: silent})
			counted(t, p.Server.Metrics, "response_total", 1, `direction="inbound"`)
			if n := app.accepted.Load(); n > 2 {
				t.Errorf("%d connections for one client", n)
			}
		})
	}
}
