package accept

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/http2"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http1"
)

// piece is what a client says, and when.
type piece struct {
	after time.Duration
	text  string
}

// say has a client say its pieces on a connection, which it keeps.
func say(t *testing.T, pieces []piece) *flow.Conn {
	near, far := net.Pipe()
	c := flow.NewConn(near, &flow.Buffers{})
	t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
	go func() {
		for _, p := range pieces {
			<-time.After(p.after)
			if _, err := io.WriteString(far, p.text); err != nil {
				return
			}
		}
	}()
	return c
}

func TestClient(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct {
		name   string
		grace  time.Duration
		pieces []piece
		want   mesh.Protocol
		after  time.Duration
		slow   bool
	}{
		{"whole", Grace, []piece{{0, "GET / HTTP/1.1\r\n"}}, mesh.HTTP1, 0, false},
		{"typed slowly", Grace, []piece{{ms, "GE"}, {time.Second, "T / HTTP/1.1\r\n"}}, mesh.HTTP1, 1001 * ms, false},
		{"HTTP/2 typed slowly", Grace, []piece{{ms, "PRI"}, {time.Second, " * HTTP/2.0\r\n\r\nSM\r\n\r\n"}}, mesh.HTTP2, 1001 * ms, false},
		{"silent", Grace, nil, mesh.Detect, Grace, false},
		{"a bare word", Grace, []piece{{ms, "ruok"}}, mesh.Detect, Grace, false},
		{"a bare word where HTTP is expected", -1, []piece{{ms, "ruok"}}, mesh.Detect, ms + HeadTimeout, true},
		{"half a line", Grace, []piece{{ms, "GET"}, {time.Second, " "}}, mesh.Detect, ms + HeadTimeout, true},
		{"late half a line", -1, []piece{{time.Minute, "GET"}}, mesh.Detect, time.Minute + HeadTimeout, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, start := say(t, tt.pieces), time.Now()
				p, err := Client(c, tt.grace)
				if p != tt.want || slow(err) != tt.slow || err != nil && !tt.slow || time.Since(start) != tt.after {
					t.Errorf("%v, %v after %v", p, err, time.Since(start))
				}
			})
		})
	}
}

func slow(err error) bool {
	var e *flow.Error
	return errors.As(err, &e) && e.Reason == flow.SlowRequest
}

// TestSlowHead has one number hold for all of a head, also for what was looked
// at before it was read.
func TestSlowHead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, start := say(t, []piece{{0, "GE"}, {20 * time.Second, "T / HTTP/1.1\r\nHost: a\r\n"}}), time.Now()
		if p, err := Client(c, Grace); p != mesh.HTTP1 {
			t.Fatal(p, err)
		}
		h := NewHTTP1(c, http1.Limits{}, func() bool { return false })
		if err := h.ReadRequest(&flow.Request{}); !slow(err) || time.Since(start) != HeadTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// TestLineEndBehindBody has what some clients send behind a body begin no head.
func TestLineEndBehindBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const head = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
		c, start := say(t, []piece{{0, head}, {0, "\r\n"}, {time.Hour, head}, {0, "\r\nG"}}), time.Now()
		h := NewHTTP1(c, http1.Limits{}, func() bool { return false })
		for range 2 {
			if err := h.ReadRequest(&flow.Request{}); err != nil {
				t.Fatal(err)
			}
		}
		if err := h.ReadRequest(&flow.Request{}); !slow(err) || time.Since(start) != time.Hour+HeadTimeout {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// TestWatch has a way that was opened early wait for what decides, and no longer
// than it must.
func TestWatch(t *testing.T) {
	for _, tt := range []struct {
		name           string
		client, server []piece
		want           mesh.Protocol
		by             DecidedBy
		after          time.Duration
	}{
		{"a bare word", []piece{{0, "ruok"}}, nil, mesh.Opaque, ByTime, Doubt},
		{"a bare word, and an answer", []piece{{0, "ruok"}}, []piece{{time.Millisecond, "220 hello"}}, mesh.Opaque, ByServer, time.Millisecond},
		{"two words", []piece{{0, "ru"}, {time.Millisecond, "ok"}}, nil, mesh.Opaque, ByTime, Doubt},
		{"typed slowly", []piece{{0, "GE"}, {time.Second, "T /"}}, nil, mesh.HTTP1, ByClient, time.Second},
		{"own method", []piece{{0, "FOO"}, {time.Millisecond, " / HTTP/1.1"}}, nil, mesh.HTTP1, ByClient, time.Millisecond},
		{"nothing for long", []piece{{time.Hour, "GET /"}}, nil, mesh.HTTP1, ByClient, time.Hour},
		{"nothing for long, and the server speaks", nil, []piece{{time.Hour, "220 hello"}}, mesh.Opaque, ByServer, time.Hour},
		{"the server gives up", []piece{{time.Hour, "GET /"}}, []piece{{time.Minute, "HTTP/1.1 408 Request Timeout\r\n\r\n"}}, mesh.HTTP1, ByClient, time.Hour},
		{"the server speaks HTTP/2", []piece{{time.Hour, http2.ClientPreface}}, []piece{{0, "\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x04\x00\x01\x00\x00"}}, mesh.HTTP2, ByClient, time.Hour},
		{"the server seems to", nil, []piece{{0, "\x00\x00\x06\x04\x00"}, {time.Minute, "\xff"}}, mesh.Opaque, ByServer, time.Minute},
		{"half a line", []piece{{0, "GET "}}, nil, mesh.Detect, "", HeadTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				w := NewWatch(say(t, tt.client), say(t, tt.server))
				p, by, err := w.Decide()
				if p != tt.want || by != tt.by || slow(err) != (p == mesh.Detect) || time.Since(start) != tt.after {
					t.Errorf("%v by %q, %v after %v", p, by, err, time.Since(start))
				}
				w.Opaque()
			})
		})
	}
}
