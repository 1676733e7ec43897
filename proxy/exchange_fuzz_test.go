package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/send"
	"github.com/leno-mesh/leno/telemetry"
)

// fuzzedApp is an application that says the same on every connection, whatever
// it is asked, and keeps what it was sent.
type fuzzedApp struct {
	says []byte

	mu   sync.Mutex
	got  []*bytes.Buffer // guarded by mu; of each connection
	work sync.WaitGroup
}

func (a *fuzzedApp) dial(context.Context) (net.Conn, error) {
	near, far := net.Pipe()
	got := &bytes.Buffer{}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, got)
	a.work.Go(func() {
		_, _ = io.Copy(got, far)
		_ = far.Close()
	})
	a.work.Go(func() {
		_, _ = far.Write(a.says)
		if len(a.says)%2 == 1 { // it keeps silent for a while
			<-time.After(2 * patience)
		}
		_ = far.Close()
	})
	return near, nil
}

const patience = time.Second

// drive lets a client say something to the loop of an HTTP/1 connection in
// front of the application, step bytes at a time, and gives what it heard.
func drive(t *testing.T, app *fuzzedApp, says []byte, step int) []byte {
	i := &inbound{core: &core{
		log: slog.New(slog.DiscardHandler), buffers: &flow.Buffers{}, metrics: telemetry.NewRegistry(telemetry.Config{}),
		own: newOwn(), started: time.Now(), tries: Tries{}.WithDefaults(),
	}}
	port := &ownPort{Port: mesh.Port{Number: 80, Target: netip.MustParseAddrPort("192.0.2.1:80")}}
	port.app = send.NewHTTP(send.HTTPConfig{App: true, Buffers: i.buffers, Dial: app.dial})
	near, far := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		c := flow.NewConn(near, i.buffers)
		defer c.Free()
		defer c.Close()
		i.requests(t.Context(), c, &caller{inbound: i}, port)
	}()
	var heard bytes.Buffer
	var client sync.WaitGroup
	client.Go(func() { _, _ = io.Copy(&heard, far) })
	for len(says) > 0 {
		n := min(step, len(says))
		if _, err := far.Write(says[:n]); err != nil {
			break
		}
		says = says[n:]
	}
	// The time in here passes when everybody waits: then the client goes away, and
	// later the application. A connection that does not end even so is a deadlock,
	// which ends the test.
	late := time.AfterFunc(patience, func() { _ = far.Close() })
	defer late.Stop()
	<-served
	_ = far.Close()
	client.Wait()
	port.app.Close()
	app.work.Wait()
	if n := i.buffers.Used(); n != 0 {
		t.Errorf("%d bytes of wide buffers never came back", n)
	}
	return heard.Bytes()
}

// message is a request as net/http understands it.
type message struct {
	method, target, body string
	whole                bool
}

// judgement is how far net/http came with what was said.
type judgement int

const (
	refused judgement = iota // it would not have all of it
	whole                    // it understood all of it, up to where it was cut
	escapes                  // it stopped at an escape, which Leno does not judge
)

// understood gives the requests that net/http finds in b, and how far it came.
func understood(b []byte) (all []message, j judgement) {
	r := bufio.NewReaderSize(bytes.NewReader(b), len(b)+16)
	for {
		if p, _ := r.Peek(2); string(p) == "\r\n" {
			_, _ = r.Discard(2) // before a request line (RFC 9112, section 2.2)
		}
		if _, err := r.Peek(1); err != nil {
			return all, whole
		}
		req, err := http.ReadRequest(r)
		if err != nil {
			var bad *url.Error
			switch {
			case errors.As(err, &bad):
				return all, escapes
			case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
				return all, whole
			}
			return all, refused
		}
		body, err := io.ReadAll(req.Body)
		all = append(all, message{req.Method, req.RequestURI, string(body), err == nil})
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return all, whole
		}
		if err != nil {
			return all, refused
		}
	}
}

// FuzzConnection drives a whole connection between a client and an application
// that both say what they want. It must end, and nobody may be made to see what
// the other end did not say: each request that the application sees, as net/http
// reads it, is one that the client sent, in order; and what the client hears is
// a sequence of answers, no more than it asked for.
func FuzzConnection(f *testing.F) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	for _, seed := range [][2]string{
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", ok},
		{"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nPOST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc", ok + ok + " "},
		{"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n", ok + ok},
		{"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nGET /", "HTTP/1.1 100 Continue\r\n\r\n" + ok},
		{"HEAD / HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET / HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\n"},
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nA: b\r\n\r\nHTTP/1.1 200 OK\r\n"},
		{"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"},
		{"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nraw"},
	} {
		f.Add([]byte(seed[0]), []byte(seed[1]), uint8(7))
	}
	f.Fuzz(func(t *testing.T, client, application []byte, step uint8) {
		if len(client) > 4<<10 || len(application) > 4<<10 {
			return
		}
		app := &fuzzedApp{says: application}
		var heard []byte
		synctest.Test(t, func(t *testing.T) { heard = drive(t, app, client, int(step)+1) })
		sent, judged := understood(client)
		for _, m := range sent {
			if m.method == "CONNECT" {
				return
			}
		}
		if judged == refused || bytes.Contains(bytes.ToLower(client), []byte("upgrade")) {
			return // a tunnel may follow, or net/http is at its end
		}
		at := 0
		for _, got := range app.got {
			seen, fine := understood(got.Bytes())
			if fine == refused {
				t.Fatalf("net/http refuses what the application was sent: %q", got.Bytes())
			}
			for _, m := range seen {
				for at < len(sent) && !sent[at].became(m) {
					at++
				}
				if at == len(sent) {
					t.Fatalf("the application was sent %+v, which the client did not say", m)
				}
			}
		}
		finals := answers(t, heard, sent)
		most := len(sent)
		if len(client) > 0 {
			most++ // a last one that was refused, or cut
		}
		if judged == whole && finals > most {
			t.Fatalf("%d answers to %d requests: %q", finals, len(sent), heard)
		}
	})
}

// became says whether a request can be what an application sees of m. One that
// was cut may end anywhere; the absolute form may have become another.
func (m message) became(seen message) bool {
	if m.method != seen.method || m.target != seen.target {
		return false
	}
	if seen.whole {
		return m.whole && m.body == seen.body
	}
	return strings.HasPrefix(m.body, seen.body)
}

// answers reads what the client heard as answers to what it sent, and counts
// them.
func answers(t *testing.T, heard []byte, sent []message) (finals int) {
	r := bufio.NewReaderSize(bytes.NewReader(heard), len(heard)+16)
	for {
		if _, err := r.Peek(1); err != nil {
			break
		}
		method := "GET"
		if finals < len(sent) {
			method = sent[finals].method
		}
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if errors.Is(err, io.ErrUnexpectedEOF) {
			break // cut in a head: the connection was aborted
		}
		if err != nil {
			t.Fatalf("net/http refuses what the client heard: %v: %q", err, heard)
		}
		if resp.StatusCode >= 200 {
			finals++
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			break // cut in a body, and seen to be
		}
		if resp.Close && resp.StatusCode >= 200 {
			// The last one. Where it refuses a head that cannot be read it has a
			// body, also for what net/http takes for HEAD.
			break
		}
	}
	return finals
}
