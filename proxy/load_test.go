package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/proxytest"
)

// echo answers with what it was sent.
var echo = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = w.Write(append([]byte(r.Method+" "), b...))
})

// kinds of requests that a load is made of.
var kinds = []struct {
	name string
	make func(url string, i int) (*http.Request, string)
}{
	{"get", func(url string, _ int) (*http.Request, string) {
		r, _ := http.NewRequest("GET", url, nil)
		return r, "GET "
	}},
	{"post", func(url string, i int) (*http.Request, string) {
		body := fmt.Sprint("body ", i)
		r, _ := http.NewRequest("POST", url, strings.NewReader(body))
		return r, "POST " + body
	}},
	{"post-streamed", func(url string, i int) (*http.Request, string) {
		body := fmt.Sprint("streamed ", i)
		pr, pw := io.Pipe()
		go func() { // the body comes after its head
			_, _ = io.WriteString(pw, body)
			_ = pw.Close()
		}()
		r, _ := http.NewRequest("POST", url, pr)
		return r, "POST " + body
	}},
}

// load sends n requests of every kind from each of some clients and returns
// how many were sent. Each must be answered as it should.
func load(t *testing.T, url string, clients, n int, midway func()) (sent int) {
	t.Helper()
	var wg sync.WaitGroup
	var done atomic.Int64
	half := int64(clients * n * len(kinds) / 2)
	for range clients {
		c := client(t)
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range n {
				for _, k := range kinds {
					req, want := k.make(url, i)
					if err := ask(c, req, want); err != nil {
						t.Errorf("%s: %v", k.name, err)
					}
					if done.Add(1) == half && midway != nil {
						midway()
					}
				}
			}
		}()
	}
	wg.Wait()
	return clients * n * len(kinds)
}

func ask(c *http.Client, req *http.Request, want string) error {
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != 200 || string(b) != want {
		return fmt.Errorf("status %d, reason %q, body %q", resp.StatusCode, resp.Header.Get("leno-reason"), b)
	}
	return nil
}

// TestDrain stops one of two servers under load: nobody notices.
func TestDrain(t *testing.T) {
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{appAt(t, echo), appAt(t, echo)}})
	var wg sync.WaitGroup
	sent := load(t, "http://"+p.Upstream.String()+"/", 8, 60, func() {
		wg.Add(1)
		go func() { defer wg.Done(); p.Stop(0) }()
	})
	wg.Wait()
	counted(t, p.ClientMetrics, "request_total", sent)
	counted(t, p.ClientMetrics, "response_total", sent, `classification="success"`)
}

// refusing gives an address at which nobody listens and nobody else can.
func refusing(t *testing.T) netip.AddrPort {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(at.(*syscall.SockaddrInet4).Port))
}

// TestInstanceDown has one of two applications refuse connections, which no
// request of any kind notices.
func TestInstanceDown(t *testing.T) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) {
			p := proxytest.New(t, proxytest.Config{
				Apps: []netip.AddrPort{refusing(t), appAt(t, echo)},
				Tune: func(d *mesh.Destination) { // so that the first one is asked first
					if len(d.Sets) > 0 {
						d.Sets[0].Endpoints[1].State = mesh.Draining
					}
				},
			})
			c := client(t)
			const sent = 30
			for i := range sent {
				req, want := k.make("http://"+p.Upstream.String()+"/", i)
				if err := ask(c, req, want); err != nil {
					t.Error(err)
				}
			}
			counted(t, p.ClientMetrics, "request_total", sent)
			counted(t, p.Servers()[1].Metrics, "request_total", sent)
			// It is put aside after three failures in a row.
			if asked := sum(t, p.Servers()[0].Metrics, "request_total"); asked < 3 {
				t.Errorf("the instance that is down was asked %d times", asked)
			}
		})
	}
}

// TestCounters has both sides count what was sent, no more and no less.
func TestCounters(t *testing.T) {
	p := pair(t, echo)
	sent := load(t, "http://"+p.Upstream.String()+"/", 4, 30, nil)
	for _, metric := range []string{"request_total", "response_total", "response_latency_ms_count"} {
		counted(t, p.ClientMetrics, metric, sent)
		counted(t, p.Server.Metrics, metric, sent)
	}
}

// TestShortKeepAlive has an application close its connections as soon as they
// are idle: what may be sent twice never fails.
func TestShortKeepAlive(t *testing.T) {
	s := httptest.NewUnstartedServer(echo)
	s.Config.ConnState = func(c net.Conn, st http.ConnState) {
		if st == http.StateIdle {
			_ = c.(*net.TCPConn).CloseWrite()
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{s.Listener.Addr().(*net.TCPAddr).AddrPort()}})
	c := client(t)
	for range 300 {
		req, want := kinds[0].make("http://"+p.Upstream.String()+"/", 0)
		if err := ask(c, req, want); err != nil {
			t.Fatal(err)
		}
	}
}

// TestPostOnce has a POST that was handed over and then reset come back as
// a failure, and the application see it once.
func TestPostOnce(t *testing.T) {
	var seen atomic.Int64
	broken := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		_, _ = io.ReadAll(r.Body)
		panic(http.ErrAbortHandler)
	})
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{appAt(t, broken), appAt(t, broken)}})
	c := client(t)
	for _, k := range kinds[1:] {
		seen.Store(0)
		req, _ := k.make("http://"+p.Upstream.String()+"/", 0)
		resp, err := c.Do(req)
		if err != nil {
			t.Fatal(k.name, err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 502 || resp.Header.Get("leno-reason") != "app-reset" || seen.Load() != 1 {
			t.Errorf("%s: status %d, reason %q, seen %d times", k.name, resp.StatusCode, resp.Header.Get("leno-reason"), seen.Load())
		}
	}
}
