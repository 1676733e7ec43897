package proxy

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/identify"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/proxy/send"
	"github.com/leno-mesh/leno/telemetry"
)

// street is a client's proxy and a server's, joined by a link without TLS, and
// an application of net/http behind them. All of it is in memory.
type street struct {
	client  *Proxy
	inbound *inbound
	apps    *send.Peers // runs the connections to the application
	app     *http.Server
	budgets [2]*mux.Budget
	target  mesh.Target
	conns   chan net.Conn // of the application's listener
	work    sync.WaitGroup

	mu   sync.Mutex
	seen map[string]*seenRequest // guarded by mu; by path
}

// seenRequest is what the application was handed of one request.
type seenRequest struct {
	body  string
	times int
	whole bool
}

func fuzzedCore(cfg mux.Config) *core {
	c := &core{
		log: slog.New(slog.DiscardHandler), buffers: &flow.Buffers{}, metrics: telemetry.NewRegistry(telemetry.Config{}),
		own: newOwn(), started: time.Now(), tries: Tries{}.WithDefaults(), http2: forApplications(cfg), grace: time.Millisecond,
	}
	c.inClients, c.outClients = forClients(c.http2, 0)
	return c
}

func newStreet(t *testing.T) *street {
	s := &street{
		conns: make(chan net.Conn), seen: map[string]*seenRequest{},
		budgets: [2]*mux.Budget{mux.NewBudget(1 << 20), mux.NewBudget(1 << 20)},
		target:  mesh.Target{Host: "app.shop", Port: 80},
	}
	s.app = &http.Server{Handler: http.HandlerFunc(s.answer), Protocols: new(http.Protocols)}
	s.app.Protocols.SetUnencryptedHTTP2(true)
	s.work.Go(func() { _ = s.app.Serve(s) })
	s.serveLinks(t)
	near := mux.Config{Budget: s.budgets[0]}
	s.client = &Proxy{cfg: Config{Watch: func(mesh.Target) {}, Unwatch: func(mesh.Target) {}, MaxDestinations: 10}, core: fuzzedCore(near)}
	s.client.cfg.Metrics = s.client.core.metrics
	s.client.peers = send.NewPeers(send.PeersConfig{
		Dial: s.dialLink, Link: near, Buffers: s.client.core.buffers,
		HTTP: send.HTTPConfig{HTTP2: s.client.core.http2},
		Handshake: func(_ context.Context, c net.Conn, _ mesh.Endpoint) (net.Conn, time.Time, error) {
			return c, time.Now().Add(time.Hour), nil
		},
	})
	s.client.buildOutbound()
	if _, err := s.client.outbound.destinations.acquire(s.target); err != nil {
		t.Fatal(err)
	}
	err := s.client.Destination(&mesh.Destination{
		Target: s.target, Kind: mesh.DestinationService, Service: mesh.ServiceName{Namespace: "shop", Name: "app"}, Port: 80,
		Sets: []mesh.EndpointSet{{Port: 80, Endpoints: []mesh.Endpoint{{
			Addr: netip.MustParseAddrPort("192.0.2.1:80"), Proxy: netip.MustParseAddrPort("192.0.2.1:4143"), Workload: "w", Identity: "i",
		}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// serveLinks makes the server's side.
func (s *street) serveLinks(t *testing.T) {
	far := mux.Config{Budget: s.budgets[1]}
	s.inbound = &inbound{core: fuzzedCore(far), link: far}
	s.apps = send.NewPeers(send.PeersConfig{})
	pool := func(mesh.Port) *send.HTTP {
		return send.NewHTTP(send.HTTPConfig{
			App: true, Buffers: s.inbound.buffers, HTTP2: s.inbound.http2, Go: s.apps.Go,
			Dial: func(context.Context) (net.Conn, error) {
				a, b := net.Pipe()
				s.conns <- b
				return a, nil
			},
		})
	}
	own := &mesh.Inbound{Workload: "w", Ports: []mesh.Port{{Number: 80, Target: netip.MustParseAddrPort("192.0.2.1:80")}}}
	if err := s.inbound.own.apply(own, pool); err != nil {
		t.Fatal(err)
	}
}

func (s *street) dialLink(context.Context, netip.AddrPort) (net.Conn, error) {
	a, b := net.Pipe()
	from := &caller{Peer: identify.Peer{Identity: "c", Workload: "c"}, inbound: s.inbound}
	s.work.Go(func() {
		l := mux.NewServer(b, s.inbound.link, func(st *mux.Stream) { s.inbound.stream(context.Background(), from, st) })
		_ = l.Run(context.Background())
	})
	return a, nil
}

// Accept, Close and Addr make the street the application's listener.
func (s *street) Accept() (net.Conn, error) {
	c, ok := <-s.conns
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (s *street) Close() error   { return nil }
func (s *street) Addr() net.Addr { return &net.TCPAddr{} }

// answer echoes, and keeps what it was sent.
func (s *street) answer(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	s.mu.Lock()
	got := s.seen[r.URL.Path]
	if got == nil {
		got = &seenRequest{}
		s.seen[r.URL.Path] = got
	}
	got.body, got.whole = string(body), err == nil
	got.times++
	s.mu.Unlock()
	w.Header().Set("Trailer", "X-Echo")
	_, _ = w.Write(body)
	w.Header().Set("X-Echo", r.Trailer.Get("x-end"))
}

// run lets a client do what the steps say.
func (s *street) run(t *testing.T, steps []byte) *framer {
	near, far := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		c := flow.NewConn(far, s.client.core.buffers)
		defer c.Free()
		defer c.Close()
		s.client.outbound.connection(t.Context(), c, s.target)
	}()
	f := newFramer(near)
	for _, b := range steps {
		f.step(b)
		synctest.Wait()
	}
	f.finish()
	synctest.Wait()
	_ = near.Close()
	<-served
	f.reading.Wait()
	s.client.peers.Close()
	s.inbound.own.close()
	s.apps.Close()
	close(s.conns)
	_ = s.app.Close()
	s.work.Wait()
	return f
}

// framer is a client of HTTP/2 that does what the input says. It is lawful until
// a step makes it lawless.
type framer struct {
	*http2.Framer
	conn    net.Conn
	block   bytes.Buffer
	enc     *hpack.Encoder
	all     []*framed
	reading sync.WaitGroup
	lawless bool

	mu  sync.Mutex
	got map[uint32]*heard // guarded by mu
}

// framed is a request of the client.
type framed struct {
	path, sent string
	ended      bool
	trailed    bool
	reset      bool
}

// heard is what the client heard of one answer.
type heard struct {
	status, body, trailer string
	ended, reset          bool
}

func newFramer(c net.Conn) *framer {
	f := &framer{Framer: http2.NewFramer(c, c), conn: c, got: map[uint32]*heard{}}
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.AllowIllegalWrites = true
	f.enc = hpack.NewEncoder(&f.block)
	f.reading.Go(f.read)
	_, _ = io.WriteString(c, http2.ClientPreface)
	_ = f.WriteSettings()
	synctest.Wait()
	return f
}

func (f *framer) read() {
	for {
		fr, err := f.ReadFrame()
		if err != nil {
			_, _ = io.Copy(io.Discard, f.conn) // nobody is held up
			return
		}
		f.mu.Lock()
		h := f.got[fr.Header().StreamID]
		if h == nil {
			h = &heard{}
			f.got[fr.Header().StreamID] = h
		}
		switch fr := fr.(type) {
		case *http2.MetaHeadersFrame:
			if v := fr.PseudoValue("status"); v != "" {
				h.status = v
			}
			for _, x := range fr.RegularFields() {
				if h.status != "" && x.Name == "x-echo" {
					h.trailer = x.Value
				}
			}
			h.ended = fr.StreamEnded()
		case *http2.DataFrame:
			h.body += string(fr.Data())
			h.ended = fr.StreamEnded()
		case *http2.RSTStreamFrame:
			h.reset = true
		}
		f.mu.Unlock()
	}
}

// step is one step: the low three bits say what, the others to which stream or
// how much. The windows are never exceeded, since all that can be sent fits.
func (f *framer) step(b byte) {
	what, arg := b&7, int(b>>3)
	if what == 0 || len(f.all) == 0 {
		f.open(arg)
		return
	}
	n := arg % len(f.all)
	r, id := f.all[n], uint32(2*n+1)
	switch what {
	case 1, 2:
		if !r.ended {
			more := strings.Repeat(string(rune('a'+n%26)), arg*5)
			r.sent += more
			r.ended = what == 2
			_ = f.WriteData(id, r.ended, []byte(more))
		}
	case 3:
		if !r.ended {
			r.ended, r.trailed = true, true
			f.head(id, true, "x-end", r.path)
		}
	case 4:
		if !r.reset {
			r.ended, r.reset = true, true
			_ = f.WriteRSTStream(id, http2.ErrCode(arg))
		}
	case 5:
		_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: uint32(arg * 16)})
	case 6:
		_ = f.WriteWindowUpdate(id, uint32(1+arg*16))
		time.Sleep(time.Duration(arg) * time.Second) // for idle connections and their clocks
	case 7:
		f.offend(arg, id)
	}
}

// offend breaks the protocol in one of several ways.
func (f *framer) offend(arg int, id uint32) {
	f.lawless = true
	switch arg % 8 {
	case 0:
		_ = f.WriteData(id, false, []byte("more")) // maybe behind the end
	case 1:
		_ = f.WriteWindowUpdate(id, 1<<31-1)
	case 2:
		f.head(id, arg > 8, ":path", "/again")
	case 3:
		f.head(uint32(2*len(f.all)+101), true, ":method", "GET", "Upper", "case")
	case 4:
		_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: 2*uint32(len(f.all)) + 101, BlockFragment: []byte{0x82}})
	case 5:
		_ = f.WriteRawFrame(http2.FrameType(arg), 0xff, id, bytes.Repeat([]byte{byte(arg)}, arg))
	case 6:
		_ = f.WriteGoAway(id, http2.ErrCode(arg), nil)
	case 7:
		_, _ = io.WriteString(f.conn, "GET / HTTP/1.1\r\n\r\n")
	}
}

func (f *framer) open(arg int) {
	if len(f.all) >= 32 {
		return
	}
	r := &framed{path: fmt.Sprintf("/%d", len(f.all)), ended: arg&1 == 1}
	f.all = append(f.all, r)
	method := "POST"
	if arg&2 == 2 {
		method = "PUT"
	}
	f.head(uint32(2*len(f.all)-1), r.ended, ":method", method, ":scheme", "http", ":authority", "app.shop", ":path", r.path, "trailer", "x-end")
}

func (f *framer) head(id uint32, end bool, pairs ...string) {
	f.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = f.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	_ = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: f.block.Bytes(), EndHeaders: true, EndStream: end})
}

// finish opens the windows and ends what is open, if it may still.
func (f *framer) finish() {
	if f.lawless {
		return
	}
	_ = f.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
	_ = f.WriteWindowUpdate(0, 1<<20)
	for n, r := range f.all {
		if !r.ended {
			r.ended = true
			_ = f.WriteData(uint32(2*n+1), true, nil)
		}
	}
}

// FuzzFrames drives a whole connection of HTTP/2 through both proxies, to an
// application that echoes. It must end and leave nothing behind. What the
// application sees of a request is what the client sent, handed over once, and
// whole only if the client ended it; and a client that keeps to the protocol gets
// every answer.
func FuzzFrames(f *testing.F) {
	for _, seed := range []string{
		"\x08", "\x00\x11\x02", "\x00\x00\x00\x11\x19\x21\x02\x0a\x12", "\x00\x51\x03", "\x00\x51\x04\x00\x0a", "\x05\x00\xfa\x06\x0e\xfe",
		"\x00\xf1\xf6\xf2", "\x08\x07", "\x00\x0f\x02", "\x00\x17\x00", "\x00\x1f", "\x00\x27", "\x00\x2f", "\x00\x37\x00", "\x00\x3f", "\x00\x8f\x08\x08",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, steps []byte) {
		if len(steps) > 200 {
			return
		}
		synctest.Test(t, func(t *testing.T) {
			s := newStreet(t)
			client := s.run(t, steps)
			s.compare(t, client)
			for i, b := range s.budgets {
				if b.Used() != 0 || b.Served() != 0 {
					t.Errorf("proxy %d has left %d bytes and %d streams", i, b.Used(), b.Served())
				}
			}
			if n := s.client.core.buffers.Used() + s.inbound.buffers.Used(); n != 0 {
				t.Errorf("%d bytes of wide buffers never came back", n)
			}
		})
	})
}

func (s *street) compare(t *testing.T, f *framer) {
	synctest.Wait() // handlers of aborted streams
	s.mu.Lock()
	defer s.mu.Unlock()
	for n, r := range f.all {
		seen, got := s.seen[r.path], f.got[uint32(2*n+1)]
		switch {
		case seen == nil:
		case seen.times > 1:
			t.Errorf("%s was handed over %d times", r.path, seen.times)
		case f.lawless:
		case seen.whole && (seen.body != r.sent || !r.ended), !strings.HasPrefix(r.sent, seen.body):
			t.Errorf("the application was sent %q of %s (whole: %v), and the client said %q (ended: %v)", seen.body, r.path, seen.whole, r.sent, r.ended)
		}
		if f.lawless || r.reset {
			continue
		}
		trailer := ""
		if r.trailed {
			trailer = r.path
		}
		if got == nil || got.status != "200" || got.body != r.sent || !got.ended || got.trailer != trailer {
			t.Errorf("%s: %q with trailer %q was answered by %+v", r.path, r.sent, trailer, got)
		}
	}
}
