package send

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/socket"
)

// TestIdleConnections has many requests at once end: all their connections stay
// for the next ones, most of them not for long.
func TestIdleConnections(t *testing.T) {
	for _, cfg := range []HTTPConfig{
		{MaxIdle: MaxIdleConns, LongIdle: LongIdleConns, IdleTime: IdleTimeout, SpareTime: SpareTimeout},
		{MaxIdle: 5, LongIdle: 2, IdleTime: 20 * time.Second, SpareTime: 10 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			set := cfg
			if cfg.MaxIdle == MaxIdleConns {
				set = HTTPConfig{} // these are the defaults
			}
			set.Buffers = &flow.Buffers{}
			p := NewHTTP(set)
			open := 0
			for range cfg.MaxIdle + 10 {
				c, _ := net.Pipe()
				open++
				p.Adopt(flow.NewConn(&counted{c, &open}, p.Buffers))
			}
			for _, step := range []struct {
				after time.Duration
				want  int
			}{
				{0, cfg.MaxIdle},
				{cfg.SpareTime, cfg.MaxIdle},
				{time.Second, cfg.LongIdle},
				{cfg.IdleTime - cfg.SpareTime - time.Second, cfg.LongIdle},
				{time.Second, 0},
			} {
				time.Sleep(step.after)
				p.Trim(time.Now())
				if open != step.want {
					t.Errorf("%s later: %d connections are open, want %d", step.after, open, step.want)
				}
			}
			if !p.empty() {
				t.Error("not empty")
			}
		})
	}
}

// TestIdleTotal has many pools keep connections: those that have waited the
// longest make room for newer ones, whatever pool they are of.
func TestIdleTotal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 256
		idle, open := &Idle{Max: most}, 0
		pools := make([]*HTTP, 20)
		for i := range pools {
			time.Sleep(time.Millisecond)
			pools[i] = NewHTTP(HTTPConfig{Buffers: &flow.Buffers{}, Idle: idle})
			for range 64 {
				c, _ := net.Pipe()
				open++
				pools[i].Adopt(flow.NewConn(&counted{c, &open}, pools[i].Buffers))
			}
			if open > most {
				t.Fatalf("%d connections are open, want %d at most", open, most)
			}
		}
		if n := len(pools[19].idle); n != 64 || open < most-shedAtOnce {
			t.Errorf("%d of the newest pool are open, %d in all", n, open)
		}
		for _, p := range pools {
			for p.pop() != nil {
				open--
			}
			p.Trim(time.Now())
		}
		if open != 0 || idle.n.Load() != 0 || len(idle.pools) != 0 {
			t.Errorf("%d are open, %d counted, %d pools known", open, idle.n.Load(), len(idle.pools))
		}
	})
}

// counted counts down when it is closed.
type counted struct {
	net.Conn
	open *int
}

func (c *counted) Close() error {
	*c.open--
	return c.Conn.Close()
}

// TestUnaskedBody has a server send a body where none may be, behind the answer
// that it belongs to. The connection carries no other request, even at once.
func TestUnaskedBody(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dial := func(context.Context) (net.Conn, error) {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			return nil, err
		}
		return socket.New(c), nil
	}
	for _, tt := range []struct{ method, answer string }{
		{"HEAD", "200 OK\r\nContent-Length: 4"},
		{"HEAD", "200 OK\r\nTransfer-Encoding: chunked"},
		{"GET", "204 No Content"},
		{"GET", "304 Not Modified\r\nContent-Length: 4"},
		{"GET", "200 OK\r\nContent-Length: 0"},
	} {
		p := NewHTTP(HTTPConfig{Dial: dial, Buffers: &flow.Buffers{}})
		r := &flow.Request{Method: tt.method, Target: "/", Path: "/", Authority: "a", Version: flow.HTTP11}
		ex, err := p.Get(t.Context(), r, false)
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		_ = ex.Send(r, nil, true)
		fmt.Fprintf(server, "HTTP/1.1 %s\r\n\r\n", tt.answer)
		if err := ex.Receive(&flow.Response{}); err != nil {
			t.Fatal(err)
		}
		ex.Done(true)
		fmt.Fprint(server, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx")
		h := p.pop()
		if h == nil {
			t.Fatal("not kept")
		}
		h.idleSince = time.Now() // however slow this machine is, it was in use just now
		if h.usable(false) {
			t.Errorf("%s, %q: used again", tt.method, tt.answer)
		}
		_ = h.conn.Close()
		server.Close()
	}
}
