package proxy_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/proxytest"
)

func appAt(t testing.TB, h http.Handler) netip.AddrPort {
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.Listener.Addr().(*net.TCPAddr).AddrPort()
}

func pair(t testing.TB, h http.Handler) *proxytest.Pair {
	return proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{appAt(t, h)}})
}

func client(t testing.TB) *http.Client {
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 30 * time.Second}
}

func TestGet(t *testing.T) {
	p := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Seen-By", r.Header.Get("Leno-Client-Id"))
		fmt.Fprintf(w, "%s %s %s", r.Method, r.Host, r.URL)
	}))
	c := client(t)
	for range 3 {
		resp, err := c.Get("http://" + p.Upstream.String() + "/hello?x=1")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if want := "GET " + p.Upstream.String() + " /hello?x=1"; string(body) != want {
			t.Errorf("body %q, want %q", body, want)
		}
		if got := resp.Header.Get("X-Seen-By"); got != "spiffe://test.leno/ns/shop/sa/client" {
			t.Errorf("application saw client %q", got)
		}
	}
}

func TestForwardProxy(t *testing.T) {
	p := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Host, r.RequestURI) // word for word, as simple servers read it
	}))
	c := client(t)
	c.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: p.Outbound.String()})
	resp, err := c.Get("http://app.shop/path")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if string(body) != "app.shop/path" {
		t.Errorf("body %q", body)
	}
}

func TestUnknownName(t *testing.T) {
	p := pair(t, http.NotFoundHandler())
	c := client(t)
	c.Transport.(*http.Transport).Proxy = http.ProxyURL(&url.URL{Scheme: "http", Host: p.Outbound.String()})
	resp, err := c.Get("http://nobody/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 502 || resp.Header.Get("leno-reason") != "unknown-destination" {
		t.Errorf("status %d reason %q", resp.StatusCode, resp.Header.Get("leno-reason"))
	}
}

// TestConnectUnknown tells who asks a forward proxy for a tunnel to nowhere why
// there is none, over either version.
func TestConnectUnknown(t *testing.T) {
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{newTCPApp(t).addr}})
	for _, name := range []string{"nobody:80", "nobody:0"} {
		want := map[string]string{"nobody:80": "502 unknown-destination", "nobody:0": "400 bad-request"}[name]
		c := dial(t, p.Outbound)
		_ = c.SetDeadline(time.Now().Add(patience))
		fmt.Fprintf(c, "CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", name, name)
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, resp.Body)
		if got := fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("leno-reason")); got != want || err != nil || !resp.Close {
			t.Errorf("%s: %s, close %v, %v, want %s", name, got, resp.Close, err, want)
		}
		f := newFrames(t, dial(t, p.Outbound), false)
		f.head(1, false, ":method", "CONNECT", ":authority", name)
		f.expect("head 1 false " + want[:3])
	}
}

// TestBodies sends bodies of many sizes both ways, with and without a length.
func TestBodies(t *testing.T) {
	p := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		if r.Header.Get("X-Length") != "" {
			w.Header().Set("Content-Length", r.Header.Get("X-Length"))
		}
		w.Header().Set("Trailer", "X-Sum")
		h := sha256.New()
		_, err := io.Copy(io.MultiWriter(w, h), r.Body)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		w.Header().Set("X-Sum", fmt.Sprintf("%x", h.Sum(nil)))
	}))
	c := client(t)
	for _, size := range []int{0, 1, 100, 4095, 4096, 16384, 65535, 65536, 1 << 20, 8 << 20} {
		for _, chunked := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d/%v", size, chunked), func(t *testing.T) {
				want := make([]byte, size)
				_, _ = rand.Read(want)
				var in io.Reader = bytes.NewReader(want)
				if chunked {
					in = struct{ io.Reader }{in}
				}
				req, _ := http.NewRequest("POST", "http://"+p.Upstream.String()+"/", in)
				if !chunked {
					req.Header.Set("X-Length", fmt.Sprint(size))
				}
				resp, err := c.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				defer resp.Body.Close()
				got, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, want) {
					t.Fatalf("%d bytes came back, want %d", len(got), len(want))
				}
				if sum := resp.Trailer.Get("X-Sum"); chunked && size > 0 && sum != fmt.Sprintf("%x", sha256.Sum256(want)) {
					t.Errorf("trailer %q", sum)
				}
			})
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	p := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	}))
	c := client(t)
	c.Transport.(*http.Transport).MaxIdleConnsPerHost = 64
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 50 {
				want := strings.Repeat(fmt.Sprintf("%d-%d ", g, i), i*20)
				resp, err := c.Post("http://"+p.Upstream.String()+"/", "text/plain", strings.NewReader(want))
				if err != nil {
					t.Error(err)
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				if err != nil || string(got) != want {
					t.Errorf("%d-%d: %d bytes, %v", g, i, len(got), err)
				}
			}
		}()
	}
	wg.Wait()
}

func TestServerSpeaksFirst(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fmt.Fprint(c, "220 hello\r\n")
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{l.Addr().(*net.TCPAddr).AddrPort()}})
	c, err := net.Dial("tcp", p.Upstream.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 11)
	if _, err := io.ReadFull(c, buf); err != nil || string(buf) != "220 hello\r\n" {
		t.Fatalf("%q, %v", buf, err)
	}
	fmt.Fprint(c, "EHLO")
	_ = c.(*net.TCPConn).CloseWrite()
	rest, err := io.ReadAll(c)
	if err != nil || string(rest) != "EHLO" {
		t.Fatalf("%q, %v", rest, err)
	}
	var text strings.Builder
	_ = p.ClientMetrics.WriteText(&text)
	if !strings.Contains(text.String(), `leno_detections_total{decided_by="server"} 1`) {
		t.Errorf("the server did not decide:\n%s", text.String())
	}
}

func TestOpaqueClientFirst(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{l.Addr().(*net.TCPAddr).AddrPort()}})
	c, err := net.Dial("tcp", p.Upstream.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	want := make([]byte, 3<<20)
	_, _ = rand.Read(want)
	want[0] = 0x16
	go func() {
		_, _ = c.Write(want)
		_ = c.(*net.TCPConn).CloseWrite()
	}()
	got, err := io.ReadAll(c)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func TestDenied(t *testing.T) {
	p := proxytest.New(t, proxytest.Config{
		Apps: []netip.AddrPort{appAt(t, http.NotFoundHandler())},
		Access: mesh.Access{Policies: []mesh.AccessRule{{
			Name: "shop/only-web", Identities: []mesh.Identity{"spiffe://test.leno/ns/shop/sa/web"},
		}}},
	})
	resp, err := client(t).Get("http://" + p.Upstream.String() + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 403 || resp.Header.Get("leno-reason") != "denied" {
		t.Errorf("status %d reason %q", resp.StatusCode, resp.Header.Get("leno-reason"))
	}
}
