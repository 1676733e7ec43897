package proxy_test

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/proxytest"
	"github.com/leno-mesh/leno/telemetry"
)

// played is a client and an application that a test plays frame by frame.
type played struct {
	pair   *proxytest.Pair
	app    *tcpApp
	client *frames
}

func play2(t *testing.T) *played { return ways[0].play2(t) }

// play2 has the client come by one of the ways.
func (w way) play2(t *testing.T) *played {
	x := &played{app: newTCPApp(t)}
	x.pair = w.pair(t, x.app.addr)
	x.client = newFrames(t, w.dial(t, x.pair), false)
	return x
}

// everyWay has a client of HTTP/2 come by each way.
func everyWay(t *testing.T, test func(*testing.T, way)) {
	t.Helper()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) { test(t, w) })
	}
}

// server is the application's end of its connection number n.
func (x *played) server(t *testing.T, n int) *frames {
	return newFrames(t, x.app.conn(t, n), true)
}

// TestResetCodes has RST_STREAM arrive at the other end with its code.
func TestResetCodes(t *testing.T) { everyWay(t, resetCodes) }

func resetCodes(t *testing.T, w way) {
	const calm, cancel = http2.ErrCodeEnhanceYourCalm, http2.ErrCodeCancel
	t.Run("client before the answer", func(t *testing.T) {
		x := w.play2(t)
		x.client.post(1, false)
		s := x.server(t, 0)
		s.expect("head 1 false ")
		must(t, x.client.WriteRSTStream(1, calm))
		s.expect("reset 1 ENHANCE_YOUR_CALM")
	})
	t.Run("client in the answer", func(t *testing.T) {
		x := w.play2(t)
		x.client.post(1, true)
		s := x.server(t, 0)
		s.expect("head 1 true ")
		s.head(1, false, ":status", "200")
		x.client.expect("head 1 false 200")
		must(t, x.client.WriteRSTStream(1, cancel))
		s.expect("reset 1 CANCEL")
	})
	t.Run("application before the answer", func(t *testing.T) {
		for _, end := range []bool{true, false} {
			x := w.play2(t)
			x.client.post(1, end)
			s := x.server(t, 0)
			_ = s.next()
			must(t, s.WriteRSTStream(1, calm))
			x.client.expect("reset 1 ENHANCE_YOUR_CALM")
		}
	})
	t.Run("application in the answer", func(t *testing.T) {
		x := w.play2(t)
		x.client.post(1, false)
		s := x.server(t, 0)
		s.expect("head 1 false ")
		s.head(1, false, ":status", "200")
		x.client.expect("head 1 false 200")
		must(t, s.WriteRSTStream(1, cancel))
		x.client.expect("reset 1 CANCEL")
		x.client.post(3, true) // the connection is as good as before
		s.expect("head 3 true ")
		s.head(3, true, ":status", "204")
		x.client.expect("head 3 true 204")
	})
	t.Run("answer before the rest of the request", func(t *testing.T) {
		x := w.play2(t)
		x.client.post(1, false)
		s := x.server(t, 0)
		s.expect("head 1 false ")
		s.head(1, true, ":status", "202")
		x.client.expect("head 1 true 202")
		must(t, x.client.WriteData(1, true, []byte("rest")))
		s.expect(`data 1 true "rest"`)
	})
	t.Run("answer without the rest of the request", func(t *testing.T) {
		x := w.play2(t)
		x.client.post(1, false)
		s := x.server(t, 0)
		s.expect("head 1 false ")
		s.head(1, true, ":status", "413")
		must(t, s.WriteRSTStream(1, http2.ErrCodeNo))
		x.client.expect("head 1 true 413", "reset 1 NO_ERROR")
	})
}

// TestExtendedConnect has clients told that an application takes extended
// CONNECT as soon as that is known, and carries it.
func TestExtendedConnect(t *testing.T) {
	everyWay(t, func(t *testing.T, w way) {
		if w.names() {
			t.Skip("each request has another destination")
		}
		extendedConnect(t, w)
	})
}

func extendedConnect(t *testing.T, w way) {
	x := w.play2(t)
	x.client.post(1, true)
	s := newFrames(t, x.app.conn(t, 0), true, http2.Setting{ID: http2.SettingEnableConnectProtocol, Val: 1})
	s.expect("head 1 true ")
	if x.client.extended {
		t.Error("announced before it was known")
	}
	s.head(1, true, ":status", "204")
	x.client.expect("head 1 true 204")
	for !x.client.extended { // a frame that follows the answer says it
		must(t, x.client.readOne())
	}
	for n, c := range []*frames{x.client, newFrames(t, w.dial(t, x.pair), false)} {
		id := uint32(3 - 2*n)
		c.head(id, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "app.shop", ":path", "/chat")
		stream := uint32(3 + 2*n)
		s.expect("head " + strconv.Itoa(int(stream)) + " false ")
		s.head(stream, false, ":status", "200")
		must(t, s.WriteData(stream, false, []byte("hello")))
		c.expect("head "+strconv.Itoa(int(id))+" false 200", "data "+strconv.Itoa(int(id))+` false "hello"`)
		must(t, c.WriteData(id, true, []byte("bye")))
		s.expect("data " + strconv.Itoa(int(stream)) + ` true "bye"`)
		must(t, s.WriteData(stream, true, nil))
		c.expect("data " + strconv.Itoa(int(id)) + ` true ""`)
		if !c.extended {
			t.Error("not announced")
		}
	}
}

// TestNoExtendedConnect refuses what the application does not take.
func TestNoExtendedConnect(t *testing.T) {
	x := play2(t)
	x.client.head(1, false, ":method", "CONNECT", ":protocol", "websocket", ":scheme", "http", ":authority", "app.shop", ":path", "/chat")
	_ = x.server(t, 0)
	x.client.expect("head 1 false 501")
}

// TestHeadTooLarge answers a head that is over the limit, and serves the next.
func TestHeadTooLarge(t *testing.T) {
	x := play2(t)
	big := strings.Repeat("a", 10_000)
	pairs := []string{":method", "GET", ":scheme", "http", ":authority", "app.shop", ":path", "/"}
	for range 8 {
		pairs = append(pairs, "x-big", big)
	}
	x.client.head(1, true, pairs...)
	x.client.expect("head 1 false 431")
	if got := x.client.next(); !strings.Contains(got, "header-too-large") {
		t.Errorf("got %q", got)
	}
	x.client.post(3, true)
	s := x.server(t, 0)
	s.expect("head 1 true ")
	s.head(1, true, ":status", "204")
	x.client.expect("head 3 true 204")
}

// TestNotTaken has the application send requests away that it surely did not
// take: another connection, or another try, serves them.
func TestNotTaken(t *testing.T) {
	for _, w := range ways[:3] { // the others differ in how the destination is named
		t.Run(w.name, func(t *testing.T) { notTaken(t, w) })
	}
}

func notTaken(t *testing.T, w way) {
	t.Run("refused", func(t *testing.T) {
		x := w.play2(t)
		x.client.post(1, true)
		s := x.server(t, 0)
		s.expect("head 1 true ")
		must(t, s.WriteRSTStream(1, http2.ErrCodeRefusedStream))
		s.expect("head 3 true ")
		s.head(3, true, ":status", "200")
		x.client.expect("head 1 true 200")
	})
	t.Run("goaway", func(t *testing.T) {
		x := w.play2(t)
		x.client.post(1, true)
		s := x.server(t, 0)
		s.expect("head 1 true ")
		s.head(1, true, ":status", "200")
		x.client.expect("head 1 true 200")
		x.client.post(3, true)
		s.expect("head 3 true ")
		must(t, s.WriteGoAway(1, http2.ErrCodeNo, nil))
		s2 := x.server(t, 1)
		s2.expect("head 1 true ")
		s2.head(1, true, ":status", "201")
		x.client.expect("head 3 true 201")
	})
	t.Run("goaway again and again", func(t *testing.T) {
		x := w.play2(t)
		x.client.post(1, true)
		for n := range 5 {
			s := x.server(t, n)
			s.expect("head 1 true ")
			if n < 4 {
				must(t, s.WriteGoAway(0, http2.ErrCodeNo, nil))
				continue
			}
			s.head(1, true, ":status", "200")
		}
		x.client.expect("head 1 true 200")
	})
	t.Run("goaway keeps what is under way", func(t *testing.T) {
		x := w.play2(t)
		x.client.post(1, true)
		s := x.server(t, 0)
		s.expect("head 1 true ")
		must(t, s.WriteGoAway(1<<31-1, http2.ErrCodeNo, nil))
		must(t, s.WriteGoAway(1, http2.ErrCodeNo, nil))
		s.head(1, true, ":status", "200")
		x.client.expect("head 1 true 200")
		x.client.post(3, true)
		s2 := x.server(t, 1)
		s2.expect("head 1 true ")
		s2.head(1, true, ":status", "204")
		x.client.expect("head 3 true 204")
	})
}

// TestNotTakenYet has the application send a request away whose body is still to
// come. The client's own proxy sees no requests here, so it is the application's
// that tries again.
func TestNotTakenYet(t *testing.T) {
	for name, c := range map[string]struct {
		first  string // of the body, before
		goAway bool
	}{
		"refused": {}, "refused in the body": {first: "be"}, "goaway": {goAway: true}, "goaway in the body": {first: "be", goAway: true},
	} {
		t.Run(name, func(t *testing.T) {
			x := &played{app: newTCPApp(t)}
			x.pair = proxytest.New(t, proxytest.Config{
				Apps: []netip.AddrPort{x.app.addr}, Tune: func(d *mesh.Destination) { d.Protocol = mesh.Opaque },
			})
			x.client = newFrames(t, dial(t, x.pair.Upstream), false)
			x.client.post(1, false)
			s := x.server(t, 0) // opened before the protocol was known
			s.expect("head 1 false ")
			if c.first != "" {
				must(t, x.client.WriteData(1, false, []byte(c.first)))
				s.expect(fmt.Sprintf("data 1 false %q", c.first))
			}
			stream := 3
			if c.goAway {
				must(t, s.WriteGoAway(0, http2.ErrCodeNo, nil))
				s, stream = x.server(t, 1), 1
			} else {
				must(t, s.WriteRSTStream(1, http2.ErrCodeRefusedStream))
			}
			s.expect(fmt.Sprintf("head %d false ", stream))
			if c.first != "" {
				s.expect(fmt.Sprintf("data %d false %q", stream, c.first))
			}
			must(t, x.client.WriteData(1, true, []byte("gin")))
			s.expect(fmt.Sprintf(`data %d true "gin"`, stream))
			s.head(uint32(stream), true, ":status", "204")
			x.client.expect("head 1 true 204")
		})
	}
}

// TestGoAwaySent has the client's proxy drain: it says so first, serves what was
// on its way by then, and names the last stream that it took.
func TestGoAwaySent(t *testing.T) {
	x := play2(t)
	x.client.post(1, true)
	s := x.server(t, 0)
	s.expect("head 1 true ")
	stopped := make(chan struct{})
	go func() { defer close(stopped); x.pair.StopClient() }()
	frame, err := x.client.untilGoAway()
	if err != nil || frame.LastStreamID != 1<<31-1 || frame.ErrCode != http2.ErrCodeNo {
		t.Fatalf("first %v, %v", frame, err)
	}
	x.client.post(3, true) // the PING that came with it has not been answered
	s.expect("head 3 true ")
	x.client.expect("goaway 3 NO_ERROR")
	// Streams are served beside one another: their answers have no order.
	s.head(1, true, ":status", "200")
	x.client.expect("head 1 true 200")
	s.head(3, true, ":status", "201")
	x.client.expect("head 3 true 201")
	<-stopped
}

// TestHTTP2Seats has connections of HTTP/2 without a request give way, and keeps
// those that have one.
func TestHTTP2Seats(t *testing.T) {
	hold, held := make(chan struct{}), make(chan struct{}, 2)
	app := h2App(t, nil, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/hold" {
			held <- struct{}{}
			<-hold
		}
		sayProto(w, r)
	})
	p := limited(t, app.addr, func(c *proxy.Config) { c.MaxConns = 2 })
	// A seat is free a moment after its last answer: until then one is refused.
	ask := func(path string) (err error) {
		for end := time.Now().Add(patience); time.Now().Before(end); {
			var resp *http.Response
			if resp, err = h2Client(t, p.Upstream).Get("http://app.shop" + path); err == nil {
				return resp.Body.Close()
			}
		}
		return err
	}
	var busy sync.WaitGroup
	keepBusy := func() {
		busy.Go(func() {
			if err := ask("/hold"); err != nil {
				t.Error(err)
			}
		})
		<-held
	}
	keepBusy()
	for range 5 {
		_ = newFrames(t, dial(t, p.Upstream), false)
		if err := ask("/"); err != nil {
			t.Fatal(err)
		}
	}
	keepBusy()
	newFrames(t, dial(t, p.Upstream), false).expect("goaway 0 ENHANCE_YOUR_CALM") // both seats work
	close(hold)
	busy.Wait()
}

// TestGRPCCut has an application die in the middle of a call's answer. The client
// reads the reason where gRPC says how a call ended, and no application can say
// one of Leno's.
func TestGRPCCut(t *testing.T) {
	for _, dies := range []bool{true, false} {
		x := play2(t)
		req, _ := http.NewRequest(http.MethodPost, "http://app.shop/s/m", http.NoBody)
		req.Header.Set("Content-Type", "application/grpc")
		var resp *http.Response
		asked := make(chan error, 1)
		go func() (err error) {
			defer func() { asked <- err }()
			resp, err = h2Client(t, x.pair.Upstream).Do(req)
			return err
		}()
		s := x.server(t, 0)
		s.expect("head 1 true ")
		s.head(1, false, ":status", "200", "content-type", "application/grpc")
		must(t, s.WriteData(1, false, []byte("message")))
		must(t, <-asked)
		body := make([]byte, len("message"))
		_, err := io.ReadFull(resp.Body, body) // what is under way goes with the connection
		must(t, err)
		if dies {
			_ = s.conn.Close()
		} else {
			s.head(1, true, "grpc-status", "0", "leno-reason", "denied")
		}
		rest, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		status, reason := "0", ""
		if dies {
			status, reason = "14", "app-reset"
		}
		if got := resp.Trailer; string(body) != "message" || len(rest) > 0 || err != nil || got.Get("Grpc-Status") != status || got.Get("Leno-Reason") != reason {
			t.Errorf("dies %v: %q, %v, %v", dies, body, err, got)
		}
		class := map[bool]string{true: "failure", false: "success"}[dies]
		for _, m := range []*telemetry.Registry{x.pair.ClientMetrics, x.pair.Server.Metrics} {
			counted(t, m, "response_total", 1, `classification="`+class+`"`, `grpc_status_code="`+status+`"`)
		}
	}
}

// TestHTTP2GivenUp has a request that waits for the application's first SETTINGS end
// with its client's stream, and the connection wait on for others.
func TestHTTP2GivenUp(t *testing.T) {
	for _, alone := range []bool{false, true} {
		t.Run(fmt.Sprint("alone ", alone), func(t *testing.T) {
			app := newTCPApp(t)
			p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app.addr}, Tune: func(d *mesh.Destination) {
				if alone {
					d.Sets[0].Endpoints = []mesh.Endpoint{{Addr: app.addr}}
				}
			}})
			metrics := p.Server.Metrics
			if alone {
				metrics = p.ClientMetrics
			}
			c := newFrames(t, dial(t, p.Upstream), false)
			c.head(1, true, ":method", "GET", ":scheme", "http", ":authority", "app.shop", ":path", "/left")
			c.head(3, true, ":method", "GET", ":scheme", "http", ":authority", "app.shop", ":path", "/stayed")
			s := app.conn(t, 0)
			must(t, c.WriteRSTStream(1, http2.ErrCodeCancel))
			counted(t, metrics, "leno_failures_total", 1, `reason="client-gone"`)
			f := newFrames(t, s, true)
			f.expect("head 1 true ")
			f.head(1, true, ":status", "204")
			c.expect("head 3 true 204")
			app.mu.Lock()
			defer app.mu.Unlock()
			if len(app.conns) != 1 {
				t.Errorf("%d connections to the application", len(app.conns))
			}
		})
	}
}
