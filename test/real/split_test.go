package real

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/leno-mesh/leno/test/harness"
)

// pause is longer than any wait that a proxy could put between two reads.
const pause = 12 * time.Millisecond

// serveWeb serves both versions of HTTP, and counts its connections.
func serveWeb(t *testing.T, at harness.Place) *application {
	t.Helper()
	a := &application{}
	s := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.Proto) }),
		ConnState: func(_ net.Conn, s http.ConnState) {
			if s == http.StateNew {
				a.accepted.Add(1)
			}
		},
		Protocols: new(http.Protocols),
	}
	s.Protocols.SetHTTP1(true)
	s.Protocols.SetUnencryptedHTTP2(true)
	l, err := at.Listen(webTestPort)
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() { s.Serve(l) })
	t.Cleanup(func() { s.Close(); done.Wait() })
	return a
}

func tryWeb(t *testing.T, w *harness.Way, a *application) {
	t.Run("preface split", func(t *testing.T) {
		for at := 1; at < len(http2.ClientPreface); at++ {
			fetch(t, prior(t, &late{Conn: connect(t, w, webTestPort), pause: pause, first: at}).RoundTrip, "HTTP/2.0")
		}
	})
	t.Run("byte by byte", func(t *testing.T) {
		fetch(t, prior(t, &late{Conn: connect(t, w, webTestPort), each: true, pause: time.Millisecond}).RoundTrip, "HTTP/2.0")
		c := &late{Conn: connect(t, w, webTestPort), each: true, pause: time.Millisecond}
		fetch(t, func(r *http.Request) (*http.Response, error) {
			if err := r.Write(c); err != nil {
				return nil, err
			}
			return http.ReadResponse(bufio.NewReader(c), r)
		}, "HTTP/1.1")
	})
	t.Run("silent at first", func(t *testing.T) {
		fetch(t, prior(t, &late{Conn: connect(t, w, webTestPort), wait: time.Second}).RoundTrip, "HTTP/2.0")
	})
	t.Run("accept count", func(t *testing.T) { tryVisits(t, w, a) })
}

// tryVisits has the application see no connection but the one that requests
// share, and none of those who only connect. A proxy that was kept from running
// for a while may rightly open a way early: so one of a few rounds must be exact.
func tryVisits(t *testing.T, w *harness.Way, a *application) {
	const visits, rounds = 50, 5
	var more []int64
	for range rounds {
		before := a.accepted.Load()
		for range visits {
			connect(t, w, webTestPort).Close()
		}
		for range visits {
			c := connect(t, w, webTestPort)
			fetch(t, func(r *http.Request) (*http.Response, error) {
				if err := r.Write(c); err != nil {
					return nil, err
				}
				return http.ReadResponse(bufio.NewReader(c), r)
			}, "HTTP/1.1")
			c.Close()
		}
		more = append(more, a.accepted.Load()-before)
		if more[len(more)-1] <= 1 {
			return
		}
	}
	t.Errorf("the application accepted %d connections in the rounds of %d visits and %d requests", more, visits, visits)
}

// serveBytes says what it hears.
func serveBytes(t *testing.T, at harness.Place) *application {
	t.Helper()
	serveConns(t, at, echoPort, func(_ context.Context, c net.Conn) { io.Copy(c, c) })
	return nil
}

// tryBytes has clients of no known protocol say one byte at a time.
func tryBytes(t *testing.T, w *harness.Way, _ *application) {
	for _, say := range []string{
		"\x10\x1f\x00\x04MQTT\x04", "*1\r\n$4\r\nPING\r\n", "\x00\x00\x00\x08\x04\xd2\x16/", "<stream to='a'>", "\x16\x03\x09 no TLS",
	} {
		c := connect(t, w, echoPort)
		heard := make(chan string, 1)
		go func() {
			b := make([]byte, len(say))
			n, _ := io.ReadFull(c, b)
			heard <- string(b[:n])
		}()
		if _, err := io.WriteString(&late{Conn: c, each: true, pause: pause}, say); err != nil {
			t.Fatal(err)
		}
		if got := <-heard; got != say {
			t.Errorf("said %q, heard %q", say, got)
		}
	}
}

// late is a client that takes its time with its first bytes.
type late struct {
	net.Conn
	wait  time.Duration // before anything
	pause time.Duration // behind the first bytes, or behind each
	first int           // how many those are
	each  bool          // every byte is written by itself
	begun bool
}

func (c *late) Write(p []byte) (int, error) {
	head := 0
	if !c.begun {
		c.begun = true
		if c.wait > 0 {
			harness.Pass(c.wait)
		}
		if head = c.first; head > 0 {
			if _, err := c.Conn.Write(p[:head]); err != nil {
				return 0, err
			}
			harness.Pass(c.pause)
		}
	}
	if !c.each {
		n, err := c.Conn.Write(p[head:])
		return head + n, err
	}
	for i := head; i < len(p); i++ {
		if _, err := c.Conn.Write(p[i : i+1]); err != nil {
			return i, err
		}
		harness.Pass(c.pause)
	}
	return len(p), nil
}

// serveGRPC starts grpc's own server, which sends its SETTINGS at once.
func serveGRPC(t *testing.T, at harness.Place) *application {
	t.Helper()
	harness.Start(t, at, harness.Program{Name: "interop-server", Args: []string{
		harness.Tool(t, "interop-server"), fmt.Sprintf("-port=%d", grpcPort),
	}})
	return nil
}

// tryGRPC waits a second before its preface, when the server's SETTINGS are
// there for long: they decide nothing, and the client's preface does.
func tryGRPC(t *testing.T, w *harness.Way, _ *application) {
	byServer, byClient := decided(w, "server"), decided(w, "client")
	cc := prior(t, &late{Conn: connect(t, w, grpcPort), wait: time.Second})
	ctx, cancel := context.WithTimeout(t.Context(), 2*harness.Ceiling)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://grpc/grpc.testing.TestService/EmptyCall", bytes.NewReader(make([]byte, 5)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("Te", "trailers")
	resp, err := cc.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || len(b) != 5 || resp.Trailer.Get("Grpc-Status") != "0" {
		t.Errorf("%s, %d bytes, trailers %v: %v", resp.Status, len(b), resp.Trailer, err)
	}
	decidedMore(t, w, "client", byClient, 1)
	decidedMore(t, w, "server", byServer, 0)
}

// serveConns has each connection talk until the test ends.
func serveConns(t *testing.T, at harness.Place, port uint16, talk func(context.Context, net.Conn)) {
	t.Helper()
	l, err := at.Listen(port)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				continue
			}
			done.Go(func() {
				defer c.Close()
				defer context.AfterFunc(ctx, func() { c.Close() })()
				talk(ctx, c)
			})
		}
	})
	t.Cleanup(func() { cancel(); l.Close(); done.Wait() })
}
