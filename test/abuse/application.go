package abuse

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// answers are what a hostile application says, by the path that it is asked
// for. It goes on until it is thrown out.
func answers() map[string]func(c net.Conn) {
	const ok = "HTTP/1.1 200 OK\r\n"
	return map[string]func(net.Conn){
		"/garbage":         func(c net.Conn) { io.WriteString(c, strings.Repeat("\x00\xffnoise", 10000)) },
		"/garbage-head":    func(c net.Conn) { io.WriteString(c, ok+"no field\r\n\r\n") },
		"/two-lengths":     func(c net.Conn) { io.WriteString(c, ok+"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx") },
		"/endless-head":    func(c net.Conn) { repeat(c, ok, "X: "+strings.Repeat("y", 1000)+"\r\n") },
		"/endless-line":    func(c net.Conn) { repeat(c, ok+"X: ", strings.Repeat("y", 1000)) },
		"/endless-hints":   func(c net.Conn) { repeat(c, "", "HTTP/1.1 103 Early Hints\r\n\r\n") },
		"/endless-chunk":   func(c net.Conn) { repeat(c, ok+"Transfer-Encoding: chunked\r\n\r\n", "0000") },
		"/body-behind-204": func(c net.Conn) { io.WriteString(c, "HTTP/1.1 204 No Content\r\n\r\n"+ok+"Content-Length: 0\r\n\r\n") },
		"/half-an-answer":  func(c net.Conn) { io.WriteString(c, ok+"Content-Length: 100\r\n\r\nx") },
		"/silence":         func(net.Conn) {},
	}
}

func repeat(c net.Conn, begin, more string) {
	_, err := io.WriteString(c, begin)
	for err == nil {
		_, err = io.WriteString(c, more)
	}
}

// serve answers on one connection: HTTP as above, and anything else by silence.
func serve(ctx context.Context, c net.Conn) {
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	r := bufio.NewReader(c)
	if first, err := r.Peek(1); err == nil && first[0] != 0 {
		if req, err := http.ReadRequest(r); err == nil {
			if say := answers()[req.URL.Path]; say != nil {
				say(c)
			}
		}
	}
	_, _ = io.Copy(io.Discard, r)
}

// serveHostile runs the hostile application until the context ends.
func serveHostile(ctx context.Context, l net.Listener) {
	defer context.AfterFunc(ctx, func() { l.Close() })()
	var all sync.WaitGroup
	defer all.Wait()
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		all.Go(func() { serve(ctx, c) })
	}
}

// againstServed has clients call the hostile application, through the forward
// proxy and through an upstream for connections that are not HTTP.
func againstServed(a *army, forward, upstream netip.AddrPort) {
	for path := range answers() {
		a.send("application, "+path, 1, plain(forward), func(c *hostile) error {
			if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: evil.shop:8080\r\n\r\n", path); err != nil {
				return err
			}
			if path == "/silence" {
				c.went()
			}
			// One that never answers holds its client only for a while.
			_ = c.SetReadDeadline(time.Now().Add(100 * pace))
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			switch resp.Header.Get("leno-reason") {
			case "", "app-bad-response", "header-too-large":
				c.went() // it is the application's answer, or Leno's judgement of it
			}
			_, err = io.Copy(io.Discard, resp.Body)
			return err
		})
	}
	a.send("held opaque connection", 10, plain(upstream), hold([]byte("\x00")))
}
