package proxy_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/proxytest"
)

// patience is how long a step may take before the test gives up. No step
// depends on it.
const patience = time.Minute

// way is how a client reaches the application.
type way struct {
	name string
	dial func(t testing.TB, p *proxytest.Pair) net.Conn
	// alone says that the client's proxy is the only one on the way.
	alone bool
	// inside says that the client's proxy carries bytes only, so that the
	// server's is the one that knows of requests.
	inside bool
}

var ways = []way{
	{name: "upstream", dial: func(t testing.TB, p *proxytest.Pair) net.Conn { return dial(t, p.Upstream) }},
	{name: "alone", dial: func(t testing.TB, p *proxytest.Pair) net.Conn { return dial(t, p.Upstream) }, alone: true},
	{name: "inside", dial: func(t testing.TB, p *proxytest.Pair) net.Conn { return dial(t, p.Upstream) }, inside: true},
	{name: "forward", dial: dialForward},
	{name: "lone-forward", dial: dialForward, alone: true},
	{name: "connect", dial: dialTunnel},
	{name: "lone-connect", dial: dialTunnel, alone: true},
}

func dialForward(t testing.TB, p *proxytest.Pair) net.Conn { return dial(t, p.Outbound) }

func dialTunnel(t testing.TB, p *proxytest.Pair) net.Conn {
	c := dial(t, p.Outbound)
	fmt.Fprint(c, "CONNECT app.shop:80 HTTP/1.1\r\nHost: app.shop:80\r\n\r\n")
	expect(t, c, "HTTP/1.1 200 Connection established\r\n\r\n")
	return c
}

func dial(t testing.TB, to netip.AddrPort) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// expect reads exactly want.
func expect(t testing.TB, r io.Reader, want string) {
	t.Helper()
	if c, ok := r.(net.Conn); ok {
		_ = c.SetReadDeadline(time.Now().Add(patience))
	}
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); err != nil || string(got) != want {
		t.Fatalf("read %q, %v\nwant %q", got[:n], err, want)
	}
}

// tcpApp is an application whose connections a test serves by hand.
type tcpApp struct {
	addr netip.AddrPort
	l    net.Listener

	mu    sync.Mutex
	more  *sync.Cond
	conns []net.Conn // guarded by mu
}

func newTCPApp(t testing.TB) *tcpApp {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &tcpApp{addr: l.Addr().(*net.TCPAddr).AddrPort(), l: l}
	a.more = sync.NewCond(&a.mu)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			a.mu.Lock()
			a.conns = append(a.conns, c)
			a.more.Broadcast()
			a.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
		for _, c := range a.conns {
			c.Close()
		}
	})
	return a
}

// conn waits for the connection number n, counted from 0.
func (a *tcpApp) conn(t testing.TB, n int) net.Conn {
	t.Helper()
	late := time.AfterFunc(patience, func() { a.more.Broadcast() })
	defer late.Stop()
	end := time.Now().Add(patience)
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.conns) <= n {
		if time.Now().After(end) {
			t.Fatalf("the application got %d connections, want %d", len(a.conns), n+1)
		}
		a.more.Wait()
	}
	return a.conns[n]
}

// player runs a script: one side is the client C, the others are the
// application's connections S, S2 and so on.
type player struct {
	t     testing.TB
	way   way
	pair  *proxytest.Pair
	app   *tcpApp
	ends  map[string]net.Conn
	reads map[net.Conn]*bufio.Reader
}

// TestExchange plays every script over every way in. A line is
//
//	X> text     X sends the line and CRLF
//	X< text     X reads exactly this line and CRLF
//	X>> "text"  X sends these bytes; X<< "text" reads them
//	X fin       X ends its direction; X rst resets; X close closes
//	X eof       X reads an end; X reset reads a reset
//	done N      N requests have ended in the last proxy, so that their
//	            connections to the application are free again
//	C answer S R  the client reads a whole answer that Leno made: status, reason,
//	            and the reason where the client's proxy is alone, if it differs
//
// and `ways: a b` restricts the ways. $ID stands for the field that tells the
// application its caller.
func TestExchange(t *testing.T) {
	files, err := filepath.Glob("testdata/exchange/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	for _, w := range ways {
		for _, file := range files {
			name := strings.TrimSuffix(filepath.Base(file), ".txt")
			t.Run(w.name+"/"+name, func(t *testing.T) {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				play(t, w, string(text))
			})
		}
	}
}

func play(t *testing.T, w way, text string) {
	p := &player{t: t, way: w, app: newTCPApp(t), ends: map[string]net.Conn{}, reads: map[net.Conn]*bufio.Reader{}}
	defer func() {
		for _, c := range p.ends { // so that the proxies have nothing to wait for when they stop
			c.Close()
		}
	}()
	for i, line := range strings.Split(text, "\n") {
		if only, ok := strings.CutPrefix(line, "ways: "); ok && !slices.Contains(strings.Fields(only), w.name) {
			t.Skip("not for this way")
		}
		if line == "" || line[0] == '#' || strings.HasPrefix(line, "ways: ") {
			continue
		}
		if p.pair == nil {
			p.pair = w.pair(t, p.app.addr)
		}
		if p.ends["C"] == nil {
			p.ends["C"] = w.dial(t, p.pair)
		}
		if err := p.step(line); err != nil {
			t.Fatalf("line %d: %s: %v", i+1, line, err)
		}
	}
}

// pair takes a proxy off the way, or has it look at nothing.
func (w way) pair(t testing.TB, app netip.AddrPort) *proxytest.Pair { return w.limited(t, app, nil) }

func (w way) limited(t testing.TB, app netip.AddrPort, limit func(*proxy.Config)) *proxytest.Pair {
	return proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{app}, Limit: limit, Tune: func(d *mesh.Destination) {
		if w.inside {
			d.Protocol = mesh.Opaque
		}
		for i := range d.Sets {
			if w.alone {
				d.Sets[i].Endpoints = []mesh.Endpoint{{Addr: app}}
			}
		}
	}})
}

// names says that requests name the destination, and nothing else does.
func (w way) names() bool { return strings.HasSuffix(w.name, "forward") }

func (p *player) end(name string) net.Conn {
	if p.ends[name] == nil {
		n := 1
		if len(name) > 1 {
			n, _ = strconv.Atoi(name[1:])
		}
		p.ends[name] = p.app.conn(p.t, n-1)
	}
	return p.ends[name]
}

func (p *player) reader(c net.Conn) *bufio.Reader {
	_ = c.SetReadDeadline(time.Now().Add(patience))
	if p.reads[c] == nil {
		p.reads[c] = bufio.NewReader(c)
	}
	return p.reads[c]
}

func (p *player) step(line string) error {
	if n, ok := strings.CutPrefix(line, "done "); ok {
		return p.done(n)
	}
	name := line[:strings.IndexAny(line, "<> ")]
	rest := line[len(name):]
	c := p.end(name)
	switch op, text, _ := strings.Cut(rest, " "); op {
	case ">":
		_, err := fmt.Fprint(c, text+"\r\n")
		return err
	case ">>":
		raw, err := strconv.Unquote(text)
		if err == nil {
			_, err = fmt.Fprint(c, raw)
		}
		return err
	case "<":
		if text == "$ID" && p.way.alone {
			return nil // nobody tells it
		}
		text = strings.ReplaceAll(text, "$ID", "leno-client-id: spiffe://test.leno/ns/shop/sa/client")
		return read(p.reader(c), text+"\r\n")
	case "<<":
		raw, err := strconv.Unquote(text)
		if err != nil {
			return err
		}
		return read(p.reader(c), raw)
	default:
		return p.act(c, strings.Fields(text))
	}
}

func (p *player) act(c net.Conn, words []string) error {
	tcp := c.(*net.TCPConn)
	switch words[0] {
	case "fin":
		return tcp.CloseWrite()
	case "close":
		return tcp.Close()
	case "rst":
		_ = tcp.SetLinger(0)
		return tcp.Close()
	case "eof":
		if b, err := p.reader(c).ReadByte(); !errors.Is(err, io.EOF) {
			return fmt.Errorf("no end but %q, %w", b, err)
		}
	case "reset":
		if b, err := p.reader(c).ReadByte(); !errors.Is(err, syscall.ECONNRESET) {
			return fmt.Errorf("no reset but %q, %w", b, err)
		}
	case "answer":
		reason := words[2]
		if len(words) > 3 && p.way.alone {
			reason = words[3]
		}
		return readAnswer(p.reader(c), words[1], reason)
	default:
		return fmt.Errorf("unknown action %q", words[0])
	}
	return nil
}

// done waits for the server's proxy to have counted n answers, which it does
// when it has given their connections back.
func (p *player) done(n string) error {
	want, err := strconv.Atoi(n)
	if err != nil {
		return err
	}
	metrics, direction := p.pair.Server.Metrics, `direction="inbound"`
	if p.way.alone {
		metrics, direction = p.pair.ClientMetrics, `direction="outbound"`
	}
	for end := time.Now().Add(patience); time.Now().Before(end); runtime.Gosched() {
		if sum(p.t, metrics, "response_total", direction) >= want {
			return nil
		}
	}
	return errors.New("they have not ended")
}

func readAnswer(r *bufio.Reader, status, reason string) error {
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.ReadAll(resp.Body); err != nil {
		return err
	}
	if got := resp.Header.Get("leno-reason"); got != strings.TrimPrefix(reason, "-") || strconv.Itoa(resp.StatusCode) != status {
		return fmt.Errorf("got status %d and reason %q", resp.StatusCode, got)
	}
	return nil
}

func read(r io.Reader, want string) error {
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r, got); err != nil || string(got) != want {
		return fmt.Errorf("read %q, %w", got[:n], err)
	}
	return nil
}
