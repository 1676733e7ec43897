package proxy_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leno-mesh/leno/identity/identitytest"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/link"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/proxy/proxytest"
)

func limited(t *testing.T, app netip.AddrPort, limit func(*proxy.Config)) *proxytest.Pair {
	return proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app}, Limit: limit})
}

// askOnce sends one request on a connection of its own and gives the status with
// the reason.
func askOnce(t *testing.T, to netip.AddrPort) string {
	t.Helper()
	c := dial(t, to)
	defer c.Close()
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: app.shop\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return err.Error()
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	return fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("leno-reason"))
}

// TestIdleGiveWay has connections that say nothing, or not enough, give way to
// those that ask for something.
func TestIdleGiveWay(t *testing.T) {
	const seats = 4
	p := limited(t, appAt(t, echo), func(c *proxy.Config) { c.MaxConns = seats })
	for n := range 5 * seats {
		c := dial(t, p.Outbound)
		fmt.Fprint(c, "GET / HTTP/1.1\r\nA:"[:n%18])
		if got := askOnce(t, p.Outbound); got != "200 " {
			t.Errorf("after %d slow connections: %s", n+1, got)
		}
	}
	if p.Client.Spent().Clients > seats {
		t.Errorf("%+v", p.Client.Spent())
	}
	reached(t, p.ClientMetrics, "leno_shed_total", 1, `direction="outbound"`)
}

// TestNobodyGivesWay has a client told so when every connection works.
func TestNobodyGivesWay(t *testing.T) {
	app := newTCPApp(t)
	p := limited(t, app.addr, func(c *proxy.Config) { c.MaxConns = 2 })
	for n := range 2 {
		c := dial(t, p.Outbound)
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: app.shop\r\n\r\n")
		expect(t, app.conn(t, n), "GET / HTTP/1.1\r\n") // it works on it
	}
	if got := askOnce(t, p.Outbound); got != "503 overloaded" {
		t.Errorf("%s, want 503 overloaded", got)
	}
	c := dial(t, p.Outbound)
	fmt.Fprint(c, "\x16\x03\x01\x00\x01")
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if n, err := c.Read(make([]byte, 1)); err == nil || n > 0 {
		t.Error("a connection that is not HTTP was answered")
	}
}

// TestHandshakesGiveWay has half-open handshakes push out each other, and
// nobody else.
func TestHandshakesGiveWay(t *testing.T) {
	p := limited(t, appAt(t, echo), func(c *proxy.Config) { c.MaxHandshakes = 2 })
	const sent = 20
	for range sent {
		c := dial(t, p.Server.Endpoint.Proxy)
		fmt.Fprint(c, "\x16\x03\x01")
	}
	// All but two have ended, so that none of them pushes out the one that follows.
	reached(t, p.Server.Metrics, "leno_failures_total", sent-2, `direction="inbound"`)
	reached(t, p.Server.Metrics, "leno_shed_total", 1, `direction="inbound"`)
	if got := askOnce(t, p.Upstream); got != "200 " {
		t.Errorf("%s", got)
	}
}

// peerTLS is what a workload of the mesh opens links with.
func peerTLS(t *testing.T, p *proxytest.Pair, name string) *tls.Config {
	t.Helper()
	id := mesh.NewIdentity(proxytest.TrustDomain, "shop", name)
	key := identitytest.Key(t)
	chain := p.CA.Chain(t, p.CA.Template(t, id, mesh.WorkloadID(name)), &key.PublicKey)
	return &tls.Config{
		InsecureSkipVerify: true, NextProtos: []string{link.ALPN}, MinVersion: tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: chain, PrivateKey: key}},
	}
}

// TestIdleLinksGiveWay has links without streams let go of their seats: both ends
// of each are told that it ends, and whoever comes is served.
func TestIdleLinksGiveWay(t *testing.T) {
	p := limited(t, appAt(t, echo), func(c *proxy.Config) { c.MaxConns = 2 })
	cfg := peerTLS(t, p, "holder")
	first := tls.Client(dial(t, p.Server.Endpoint.Proxy), cfg)
	second := tls.Client(dial(t, p.Server.Endpoint.Proxy), cfg)
	_ = first.SetDeadline(time.Now().Add(patience))
	_ = second.SetDeadline(time.Now().Add(patience))
	for _, c := range []net.Conn{first, second} {
		if _, err := c.Read(make([]byte, 1)); err != nil { // the first byte of its SETTINGS
			t.Fatal(err)
		}
	}
	got := askOnce(t, p.Upstream) // refused until they have been idle for long enough
	for end := time.Now().Add(patience); got != "200 " && time.Now().Before(end); {
		got = askOnce(t, p.Upstream)
	}
	if got != "200 " {
		t.Errorf("another workload: %s", got)
	}
	reached(t, p.Server.Metrics, "leno_shed_total", 1, `direction="inbound"`)
	if got := p.Server.Proxy.Spent().Inbound; got > 2 {
		t.Errorf("%d seats", got)
	}
}

// TestOpaqueGivesWay has an opaque connection on which nothing moves give its
// seat to one that wants something.
func TestOpaqueGivesWay(t *testing.T) {
	app := newTCPApp(t)
	p := limited(t, app.addr, func(c *proxy.Config) { c.MaxConns, c.Times.OpaqueQuiet = 1, time.Millisecond })
	held := dial(t, p.Upstream)
	fmt.Fprint(held, "\x00")
	expect(t, app.conn(t, 0), "\x00")
	ended := make(chan error, 1)
	go func() {
		_, err := held.Read(make([]byte, 1))
		ended <- err
	}()
	for end := time.Now().Add(patience); ; {
		c := dial(t, p.Upstream) // refused until the other one has been quiet for long enough
		fmt.Fprint(c, "\x01")
		select {
		case err := <-ended:
			if !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("it ended with %v, want a reset", err)
			}
			expect(t, app.conn(t, 1), "\x01")
			return
		default:
		}
		if time.Now().After(end) {
			t.Fatal("it keeps its seat")
		}
		_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
		_, _ = c.Read(make([]byte, 1))
		_ = c.Close()
	}
}

// TestPeerLinks has a workload hold no more links than it may.
func TestPeerLinks(t *testing.T) {
	p := limited(t, appAt(t, echo), func(c *proxy.Config) { c.PeerLinks = 2 })
	cfg := peerTLS(t, p, "greedy")
	open := func() net.Conn {
		c := tls.Client(dial(t, p.Server.Endpoint.Proxy), cfg)
		_ = c.SetDeadline(time.Now().Add(patience))
		return c
	}
	for n := range 2 {
		if _, err := open().Read(make([]byte, 1)); err != nil { // the first byte of its SETTINGS
			t.Fatalf("link %d: %v", n, err)
		}
	}
	if _, err := open().Read(make([]byte, 1)); err == nil {
		t.Error("a third link was taken")
	}
	counted(t, p.Server.Metrics, "leno_failures_total", 1, `direction="inbound"`, `reason="overloaded"`)
	if got := askOnce(t, p.Upstream); got != "200 " {
		t.Errorf("another workload: %s", got)
	}
}

// TestInterimFlood has an application that never comes to the point fail the
// request.
func TestInterimFlood(t *testing.T) {
	for set, want := range map[int]int{0: http1.DefaultInterim, 3: 3} {
		app := newTCPApp(t)
		p := limited(t, app.addr, func(c *proxy.Config) { c.Limits.Interim = set })
		c := dial(t, p.Upstream)
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: app.shop\r\n\r\n")
		s := app.conn(t, 0)
		go func() {
			for {
				if _, err := io.WriteString(s, "HTTP/1.1 102 Processing\r\n\r\n"); err != nil {
					return
				}
			}
		}()
		_ = c.SetReadDeadline(time.Now().Add(patience))
		r := bufio.NewReader(c)
		for n := 0; ; n++ {
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if resp.StatusCode == 502 && resp.Header.Get("leno-reason") == "app-bad-response" {
				if n != want {
					t.Errorf("%d answers, want %d", n, want)
				}
				break
			}
			if resp.StatusCode != 102 || n > want {
				t.Fatalf("answer %d: %s", n, resp.Status)
			}
		}
	}
}

// TestGoneClients has clients that ask and go away before there is an answer
// give way, and such as reset their connections end at once.
func TestGoneClients(t *testing.T) {
	app := newTCPApp(t)
	p := limited(t, app.addr, func(c *proxy.Config) { c.MaxConns = 2 })
	leave := func(n int, reset bool) {
		c := dial(t, p.Outbound)
		fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: app.shop\r\n\r\n")
		expect(t, app.conn(t, n), "GET / HTTP/1.1\r\n") // it works on it
		if reset {
			_ = c.(*net.TCPConn).SetLinger(0)
		}
		_ = c.Close()
	}
	leave(0, true)
	_ = app.conn(t, 0).SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, app.conn(t, 0)); err == nil {
		t.Error("the application's request ended well")
	} else if nerr, ok := err.(net.Error); ok && nerr.Timeout() {
		t.Error("the application goes on for a client that is gone")
	}
	for n := 1; n <= 6; n++ {
		leave(n, false)
	}
	if got := p.Client.Spent().Clients; got > 2 {
		t.Errorf("%d connections", got)
	}
}

// TestRoomAtFullPeer has a peer that takes no more streams: a request gets the place of
// the one that has waited for its client the longest, and no other ends.
func TestRoomAtFullPeer(t *testing.T) {
	p := limited(t, appAt(t, echo), func(c *proxy.Config) {
		c.PeerStreams, c.Times.Room, c.Link.Budget = 2, patience, mux.NewBudget(1<<30)
	})
	var slow [2]net.Conn
	for i := range slow {
		slow[i] = dial(t, p.Upstream)
		fmt.Fprint(slow[i], "POST / HTTP/1.1\r\nHost: app.shop\r\nContent-Length: 4\r\n\r\nla")
		for end := time.Now().Add(patience); p.Server.Proxy.Spent().Streams <= i && time.Now().Before(end); {
			runtime.Gosched() // nothing tells when it has been sent
		}
	}
	if got := askOnce(t, p.Upstream); got != "200 " {
		t.Errorf("it got %q", got)
	}
	_ = slow[0].SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, slow[0]); !errors.Is(err, syscall.ECONNRESET) {
		t.Errorf("the oldest saw no reset but %v", err)
	}
	fmt.Fprint(slow[1], "te")
	_ = slow[1].SetReadDeadline(time.Now().Add(patience))
	if resp, err := http.ReadResponse(bufio.NewReader(slow[1]), nil); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("the other one got %v, %v", resp, err)
	}
	counted(t, p.ClientMetrics, "leno_shed_total", 1)
}

// TestTimesAreSet has a proxy wait for no longer than it was told.
func TestTimesAreSet(t *testing.T) {
	p := limited(t, appAt(t, echo), func(c *proxy.Config) {
		c.Times.Head, c.Times.Handshake = 20*time.Millisecond, 20*time.Millisecond
	})
	slow := dial(t, p.Upstream)
	fmt.Fprint(slow, "GET / HTTP/1.1\r\nHost: app")
	_ = slow.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(bufio.NewReader(slow), nil)
	if err != nil || resp.StatusCode != 408 || resp.Header.Get("leno-reason") != "slow-request" {
		t.Errorf("a slow head: %v, %v", resp, err)
	}
	half := dial(t, p.Server.Endpoint.Proxy)
	fmt.Fprint(half, "\x16\x03\x01")
	_ = half.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, half); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a handshake takes as long as it likes")
	}
	reached(t, p.Server.Metrics, "leno_failures_total", 1, `direction="inbound"`)
}

// TestSlowRequestsGiveUp has clients that keep their own requests waiting lose them
// when hardly a connection is left, and not before: one whose body does not come is
// told so, one that does not read cannot be.
func TestSlowRequestsGiveUp(t *testing.T) {
	const seats = 8
	for name, tt := range map[string]struct {
		ask  string
		want string
	}{
		"a body does not come":  {"POST / HTTP/1.1\r\nHost: app.shop\r\nContent-Length: 10\r\n\r\nabc", "408 slow-request"},
		"chunks do not come":    {"POST / HTTP/1.1\r\nHost: app.shop\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", "408 slow-request"},
		"an answer is not read": {"GET /endless HTTP/1.1\r\nHost: app.shop\r\n\r\n", "reset"},
	} {
		t.Run(name, func(t *testing.T) {
			app := appAt(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for r.URL.Path == "/endless" {
					if _, err := w.Write(make([]byte, 64<<10)); err != nil {
						return
					}
				}
				_, _ = io.Copy(io.Discard, r.Body)
			}))
			p := proxytest.New(t, proxytest.Config{
				Apps: []netip.AddrPort{app}, Tune: func(d *mesh.Destination) { d.Protocol = mesh.HTTP1 },
				Limit: func(c *proxy.Config) { c.MaxConns, c.Times.SlowBody = seats, 50*time.Millisecond },
			})
			tunnel := dial(t, p.Outbound) // is silent the longest, and has no request
			fmt.Fprint(tunnel, "CONNECT app.shop:80 HTTP/1.1\r\nHost: app.shop\r\n\r\n")
			expect(t, tunnel, "HTTP/1.1 200 Connection established\r\n\r\n")
			slow := dial(t, p.Outbound)
			fmt.Fprint(slow, tt.ask)
			for range seats - 2 { // the last of them is one too many
				counted(t, p.ClientMetrics, "leno_shed_total", 0, `direction="outbound"`)
				c := dial(t, p.Outbound)
				fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: app.shop\r\n\r\n")
				if _, err := http.ReadResponse(bufio.NewReader(c), nil); err != nil {
					t.Fatal(err)
				}
			}
			reached(t, p.ClientMetrics, "leno_shed_total", 1, `direction="outbound"`)
			_ = slow.SetReadDeadline(time.Now().Add(patience))
			got := "reset"
			if resp, err := http.ReadResponse(bufio.NewReader(slow), nil); err == nil {
				got = fmt.Sprint(resp.StatusCode, " ", resp.Header.Get("leno-reason"))
				if _, err = io.Copy(io.Discard, resp.Body); resp.StatusCode == 200 && errors.Is(err, syscall.ECONNRESET) {
					got = "reset"
				}
			} else if !errors.Is(err, syscall.ECONNRESET) {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("it ended with %s, want %s", got, tt.want)
			}
			counted(t, p.ClientMetrics, "leno_shed_total", 1, `direction="outbound"`)
			fmt.Fprint(tunnel, "GET / HTTP/1.1\r\nHost: app.shop\r\n\r\n")
			expect(t, tunnel, "HTTP/1.1 200 OK\r\n")
		})
	}
}

// TestIdleIsCounted closes a connection that is without a request for too long, and
// counts it: nobody is there to be told.
func TestIdleIsCounted(t *testing.T) {
	p := limited(t, appAt(t, echo), func(c *proxy.Config) { c.Times.ClientIdle = time.Millisecond })
	c := dial(t, p.Outbound)
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: app.shop\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if _, err := io.Copy(io.Discard, c); err != nil {
		t.Error(err)
	}
	counted(t, p.ClientMetrics, "leno_idle_closed_total", 1, `direction="outbound"`)
	counted(t, p.ClientMetrics, "leno_shed_total", 0)
}

// TestChunkLimitsReach has a chunk's line that is longer than it may be refused, of
// a client and of an application.
func TestChunkLimitsReach(t *testing.T) {
	app := newTCPApp(t)
	p := limited(t, app.addr, func(c *proxy.Config) { c.Limits.ChunkLine = 64 })
	line := "1;" + strings.Repeat("a", 64) + "\r\nx\r\n0\r\n\r\n"
	c := dial(t, p.Upstream)
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: app.shop\r\n\r\n")
	s := app.conn(t, 0)
	expect(t, s, "GET / HTTP/1.1\r\n")
	fmt.Fprint(s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", line)
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if all, err := io.ReadAll(c); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("an application's: %q, %v", all, err)
	}
	c = dial(t, p.Upstream)
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: app.shop\r\nTransfer-Encoding: chunked\r\n\r\n", line)
	_ = c.SetReadDeadline(time.Now().Add(patience))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 400 || resp.Header.Get("leno-reason") != "bad-request" {
		t.Errorf("a client's: %v, %v", resp, err)
	}
}
