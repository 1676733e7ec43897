package proxy_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/mux"
)

// TestClientStreams has clients of HTTP/2 open streams and send no body: they
// keep streams from each other, and half of all for the mesh.
func TestClientStreams(t *testing.T) {
	app := h2App(t, nil, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	p := limited(t, app.addr, func(c *proxy.Config) {
		c.Link.Budget = mux.NewBudget(1 << 30)
		c.Link.Budget.MaxServed, c.ClientStreams = 16, 8
	})
	for i, want := range []int{4, 2, 0} { // of one connection, of one side, of nobody
		f := newFrames(t, dial(t, p.Upstream), false)
		defer f.conn.Close()
		for n := range 10 {
			f.post(uint32(2*n+1), false)
		}
		for n := want; n < 10; n++ {
			if got, refused := f.next(), fmt.Sprintf("reset %d REFUSED_STREAM", 2*n+1); got != refused {
				t.Fatalf("connection %d: got %q, want %q", i, got, refused)
			}
		}
	}
	if n := p.Client.Spent().Streams; n != 6 {
		t.Errorf("%d streams are served", n)
	}
}

// TestFieldsOnLinks has every head that a client may send fit on the link too,
// where it has fields more.
func TestFieldsOnLinks(t *testing.T) {
	app := h2App(t, nil, sayProto)
	p := limited(t, app.addr, func(c *proxy.Config) { c.Link.MaxFields = 30 })
	f := newFrames(t, dial(t, p.Upstream), false)
	defer f.conn.Close()
	for i, want := range []string{"200", "200", "200", "431"} {
		id := uint32(2*i + 1)
		pairs := []string{":method", "GET", ":scheme", "http", ":authority", "app.shop", ":path", "/"}
		for n := range 16 + i { // and four: 22 are taken
			pairs = append(pairs, "x-"+strconv.Itoa(n), "y")
		}
		f.head(id, true, pairs...)
		if got := f.next(); got != fmt.Sprintf("head %d false %s", id, want) {
			t.Fatalf("%d fields: %s", len(pairs)/2, got)
		}
		for end := fmt.Sprintf("data %d true", id); ; {
			if got := f.next(); len(got) >= len(end) && got[:len(end)] == end {
				break
			}
		}
	}
}

// TestResetWhileNobodyTakesIt has a client take back requests for which the
// server's proxy waits: the application never says that it speaks HTTP/2. They are
// of no weight there from then on, long before that wait is over.
func TestResetWhileNobodyTakesIt(t *testing.T) {
	app, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer app.Close()
	p := limited(t, app.Addr().(*net.TCPAddr).AddrPort(), func(c *proxy.Config) { c.PeerStreams = 2 })
	f := newFrames(t, dial(t, p.Upstream), false)
	defer f.conn.Close()
	for round := range 3 {
		first := uint32(4*round + 1)
		f.post(first, true)
		f.post(first+2, true)
		reached(t, p.Server.Metrics, "request_total", 2*(round+1))
		must(t, f.WriteRSTStream(first, http2.ErrCodeCancel))
		must(t, f.WriteRSTStream(first+2, http2.ErrCodeCancel))
		reached(t, p.Server.Metrics, "leno_failures_total", 2*(round+1), `reason="client-gone"`)
		for end := time.Now().Add(patience); p.Server.Proxy.Spent().Streams > 0 && time.Now().Before(end); {
			runtime.Gosched() // it was counted a moment before it ends
		}
		if n := p.Server.Proxy.Spent().Streams; n != 0 {
			t.Fatalf("%d streams are served still", n)
		}
	}
}

// TestManyGreedyClients has one client after another take all the streams that it
// gets: the next one is served all the same.
func TestManyGreedyClients(t *testing.T) {
	app := h2App(t, nil, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	p := limited(t, app.addr, func(c *proxy.Config) {
		c.Link.Budget = mux.NewBudget(1 << 30)
		c.Link.Budget.MaxServed, c.ClientStreams = 200, 80
	})
	for i, want := range []int{40, 14, 4, 2} { // of the 60 of its side: half of all, then two for each free one
		f := newFrames(t, dial(t, p.Upstream), false)
		defer f.conn.Close()
		for n := range 50 {
			f.post(uint32(2*n+1), false)
		}
		for n := want; n < 50; n++ {
			if got, refused := f.next(), fmt.Sprintf("reset %d REFUSED_STREAM", 2*n+1); got != refused {
				t.Fatalf("connection %d: got %q, want %q", i+1, got, refused)
			}
		}
	}
}
