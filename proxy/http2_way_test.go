package proxy_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/textproto"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/net/http2"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/proxy/proxytest"
)

// TestHTTP2Ways asks over each way that a request of HTTP/2 can take.
func TestHTTP2Ways(t *testing.T) {
	app := h2App(t, nil, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, r.Proto, " ", r.Header.Get("Leno-Client-Id"))
	})
	const id = "spiffe://test.leno/ns/shop/sa/client"
	for name, way := range map[string]struct {
		tune func(*mesh.Destination)
		want string
	}{
		"meshed":        {func(*mesh.Destination) {}, "HTTP/2.0 " + id},
		"hint":          {func(d *mesh.Destination) { d.Protocol = mesh.GRPC }, "HTTP/2.0 " + id},
		"inside opaque": {func(d *mesh.Destination) { d.Protocol = mesh.Opaque }, "HTTP/2.0 " + id},
		"unmeshed": {func(d *mesh.Destination) {
			for i := range d.Sets {
				d.Sets[i].Endpoints = []mesh.Endpoint{{Addr: app.addr}}
			}
		}, "HTTP/2.0 "},
	} {
		t.Run(name, func(t *testing.T) {
			p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app.addr}, Tune: way.tune})
			if got := get(t, h2Client(t, p.Upstream), "http://app.shop/"); got != way.want {
				t.Errorf("got %q, want %q", got, way.want)
			}
		})
	}
}

func get(t testing.TB, c *http.Client, url string) string {
	t.Helper()
	resp, err := c.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestHTTP2Denied has a policy deny requests, by one connection like another.
func TestHTTP2Denied(t *testing.T) {
	app := h2App(t, nil, sayProto)
	for _, protocol := range []mesh.Protocol{mesh.Detect, mesh.Opaque} {
		p := proxytest.New(t, proxytest.Config{
			Apps: []netip.AddrPort{app.addr}, Tune: func(d *mesh.Destination) { d.Protocol = protocol },
			Access: mesh.Access{Policies: []mesh.AccessRule{{Name: "shop/nobody"}}},
		})
		resp, err := h2Client(t, p.Upstream).Get("http://app.shop/")
		if protocol == mesh.Opaque {
			if err == nil {
				t.Errorf("an opaque connection was allowed: %v", resp.Status)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 403 || resp.Header.Get("leno-reason") != "denied" {
			t.Errorf("status %d, reason %q", resp.StatusCode, resp.Header.Get("leno-reason"))
		}
	}
}

// TestGRPCFailure has Leno fail calls in gRPC's own way.
func TestGRPCFailure(t *testing.T) {
	app := newTCPApp(t)
	app.l.Close()
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app.addr}})
	for body, name := range map[io.Reader]string{http.NoBody: "whole", io.LimitReader(endless{}, 1<<20): "streamed"} {
		t.Run(name, func(t *testing.T) {
			req, _ := http.NewRequest(http.MethodPost, "http://app.shop/pkg.Service/Method", body)
			req.Header.Set("Content-Type", "application/grpc+proto")
			req.Header.Set("TE", "trailers")
			resp, err := h2Client(t, p.Upstream).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if n, err := io.Copy(io.Discard, resp.Body); n != 0 || err != nil {
				t.Errorf("a body of %d bytes, %v", n, err)
			}
			h := resp.Header
			if resp.StatusCode != 200 || h.Get("Grpc-Status") != "14" || h.Get("leno-reason") != "app-refused" ||
				!strings.Contains(h.Get("Grpc-Message"), "app-refused") || h.Get("Content-Type") != "application/grpc" {
				t.Errorf("%d %v", resp.StatusCode, h)
			}
		})
	}
	counted(t, p.ClientMetrics, "response_total", 2, `classification="failure"`, `grpc_status_code="14"`)
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestGRPCClassified counts calls by their status, wherever it is told.
func TestGRPCClassified(t *testing.T) {
	app := h2App(t, nil, func(w http.ResponseWriter, r *http.Request) {
		status := strings.TrimPrefix(r.URL.Path, "/")
		w.Header().Set("Content-Type", "application/grpc")
		if at, ok := strings.CutPrefix(status, "head/"); ok {
			w.Header().Set("Grpc-Status", at)
			return
		}
		fmt.Fprint(w, "message")
		if status != "none" {
			w.Header().Set(http.TrailerPrefix+"Grpc-Status", status)
		}
	})
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app.addr}})
	client := h2Client(t, p.Upstream)
	for path, want := range map[string]string{
		"0": "success", "head/0": "success", "5": "success", "head/14": "failure", "13": "failure", "none": "failure",
	} {
		req, _ := http.NewRequest(http.MethodPost, "http://app.shop/"+path, nil)
		req.Header.Set("Content-Type", "application/grpc")
		code := strings.TrimPrefix(path, "head/")
		if code == "none" {
			code = "2"
		}
		labels := []string{`classification="` + want + `"`, `grpc_status_code="` + code + `"`}
		before := sum(t, p.ClientMetrics, "response_total", labels...)
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		counted(t, p.ClientMetrics, "response_total", before+1, labels...)
	}
}

// TestHTTP2Interim relays interim answers.
func TestHTTP2Interim(t *testing.T) {
	app := h2App(t, nil, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</style.css>")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusNoContent)
	})
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app.addr}})
	var got []string
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			got = append(got, fmt.Sprint(code, h.Get("Link")))
			return nil
		},
	})
	req, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://app.shop/", nil)
	resp, err := h2Client(t, p.Upstream).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 204 || fmt.Sprint(got) != "[103</style.css>]" {
		t.Errorf("status %d after %v", resp.StatusCode, got)
	}
}

// TestHTTP2StreamLimit has far more requests at once than the application
// takes on one connection. None is lost, and the application is not flooded.
func TestHTTP2StreamLimit(t *testing.T) {
	var now, most atomic.Int32
	app := h2App(t, func(c *http.HTTP2Config) { c.MaxConcurrentStreams = 2 }, func(w http.ResponseWriter, r *http.Request) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer now.Add(-1)
		_, _ = io.Copy(w, r.Body)
	})
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app.addr}})
	client := h2Client(t, p.Upstream)
	var wg sync.WaitGroup
	for range 200 {
		wg.Go(func() {
			resp, err := client.Post("http://app.shop/", "", strings.NewReader("body"))
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "body" {
				t.Errorf("got %d %q, %v", resp.StatusCode, b, err)
			}
		})
	}
	wg.Wait()
	if n := app.accepted.Load(); n > 16 || most.Load() > 32 {
		t.Errorf("%d connections, %d requests at once", n, most.Load())
	}
}

// TestHTTP2SlowReader has a client leave one answer unread, and an application one
// body: others on the same connection flow, and what is buffered for whoever does
// not read stays within the windows.
func TestHTTP2SlowReader(t *testing.T) {
	for _, w := range ways[:3] { // the others differ in how the destination is named
		t.Run(w.name+"/client", func(t *testing.T) { slowReader(t, w, http.MethodGet) })
		t.Run(w.name+"/application", func(t *testing.T) { slowReader(t, w, http.MethodPost) })
	}
}

func slowReader(t *testing.T, w way, method string) {
	var sent atomic.Int64
	app := h2App(t, nil, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/small":
			_, _ = io.Copy(io.Discard, r.Body)
			fmt.Fprint(w, "small")
		case r.Method == http.MethodPost: // nothing of it is read
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		default:
			_, _ = io.Copy(w, io.TeeReader(endless{}, counter{&sent}))
		}
	})
	budget := mux.NewBudget(64 << 20)
	p := w.limited(t, app.addr, func(c *proxy.Config) { c.Link.Budget = budget })
	client := h2Client(t, p.Upstream)
	client.Timeout = 0
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var body io.Reader
	if method == http.MethodPost {
		body = io.TeeReader(endless{}, counter{&sent})
	}
	req, _ := http.NewRequestWithContext(ctx, method, "http://app.shop/endless", body)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	for range 500 {
		if got := get(t, client, "http://app.shop/small"); got != "small" {
			t.Fatalf("got %q", got)
		}
	}
	// Three hops of windows, the client's own and what the kernel holds.
	const most = 24 << 20
	if n := sent.Load(); n > most {
		t.Errorf("%d bytes were taken for a reader that does not read", n)
	}
	if n := budget.Peak(); n > 8<<20 {
		t.Errorf("%d bytes were buffered", n)
	}
}

// counter counts what is written.
type counter struct{ *atomic.Int64 }

func (c counter) Write(p []byte) (int, error) {
	c.Add(int64(len(p)))
	return len(p), nil
}

// TestHTTP2ShutConnection has an application leave a body unread that takes all
// that it lets come on its connection: other bodies go to another one, if there
// may be one, and requests without a body wait for nothing.
func TestHTTP2ShutConnection(t *testing.T) {
	for _, bound := range []int{0, 1} {
		x := &played{app: newTCPApp(t)}
		x.pair = proxytest.New(t, proxytest.Config{
			Apps: []netip.AddrPort{x.app.addr}, Limit: func(c *proxy.Config) { c.AppConns = bound },
		})
		x.client = newFrames(t, dial(t, x.pair.Upstream), false)
		x.client.post(1, false)
		s := newFrames(t, x.app.conn(t, 0), true, http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
		s.expect("head 1 false ")
		for range 5 {
			must(t, x.client.WriteData(1, false, make([]byte, 65535/5)))
		}
		for left := 65535; left > 0; {
			frame, err := s.ReadFrame()
			must(t, err)
			if d, ok := frame.(*http2.DataFrame); ok {
				left -= len(d.Data())
			}
		}
		x.client.post(3, true)
		s.expect("head 3 true ")
		x.client.post(5, false)
		must(t, x.client.WriteData(5, true, []byte("small")))
		if bound == 1 {
			s.expect("head 5 false ")
			continue
		}
		x.server(t, 1).expect("head 1 false ", `data 1 true "small"`)
	}
}

// TestHTTP2Connect joins two ends by CONNECT: bytes both ways, and each
// direction ends by itself.
func TestHTTP2Connect(t *testing.T) {
	app := h2App(t, nil, func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(200)
		w.(http.Flusher).Flush()
		b, err := io.ReadAll(r.Body) // until the client ends its direction
		fmt.Fprintf(w, "%s %s %q %v", r.Method, r.Host, b, err)
	})
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app.addr}})
	r, w := io.Pipe()
	req, _ := http.NewRequest(http.MethodConnect, "http://elsewhere:25", r)
	req.Host = "elsewhere:25"
	resp, err := h2Client(t, p.Upstream).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Fprint(w, "hello")
	w.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != `CONNECT elsewhere:25 "hello" <nil>` {
		t.Errorf("got %q, %v", b, err)
	}
}

// TestHTTP2Drain stops one of two servers, and has no request fail.
func TestHTTP2Drain(t *testing.T) {
	app := h2App(t, nil, sayProto)
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app.addr, h2App(t, nil, sayProto).addr}})
	client := h2Client(t, p.Upstream)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for n := 0; ; n++ {
				if got := get(t, client, "http://app.shop/"); got != "HTTP/2.0" {
					t.Errorf("got %q", got)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
	}
	p.Stop(0)
	close(stop)
	wg.Wait()
}
