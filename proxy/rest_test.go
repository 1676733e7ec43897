package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"
)

// TestRestIsCheap has connections without a request keep nothing of a large one:
// not its head, whether the body came with it or later, nor the answer's.
func TestRestIsCheap(t *testing.T) {
	const conns, most = 64, 16 << 10
	large := strings.Repeat("x", 7000)
	p := pair(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		for i := range len(r.URL.Query()["large"]) {
			w.Header().Set(fmt.Sprint("X-Large-", i), large)
		}
	}))
	for name, ask := range map[string]func(t *testing.T, c net.Conn){
		"head":       func(t *testing.T, c net.Conn) { post(t, c, "/", false, strings.Repeat("X-Large: "+large+"\r\n", 8)) },
		"body later": func(t *testing.T, c net.Conn) { post(t, c, "/", true, strings.Repeat("X-Large: "+large+"\r\n", 8)) },
		"answer":     func(t *testing.T, c net.Conn) { post(t, c, "/?"+strings.Repeat("large&", 8), false, "") },
	} {
		t.Run(name, func(t *testing.T) {
			all := make([]net.Conn, conns)
			for i := range all {
				all[i] = dial(t, p.Upstream)
				post(t, all[i], "/", true, "") // what a connection costs that had any
			}
			before := inUse()
			for _, c := range all {
				ask(t, c)
			}
			if grown := (inUse() - before) / conns; grown > most {
				t.Errorf("%d bytes stay with each connection", grown)
			}
		})
	}
}

// inUse is the heap without garbage, and without what pools lend.
func inUse() int {
	var m runtime.MemStats
	for range 3 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// post asks once. The body comes with the head, or once it is asked for.
func post(t *testing.T, c net.Conn, path string, later bool, fields string) {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(patience))
	head := "POST " + path + " HTTP/1.1\r\nHost: app.shop\r\nContent-Length: 1\r\n" + fields
	if later {
		fmt.Fprint(c, head, "Expect: 100-continue\r\n\r\n")
		expect(t, c, "HTTP/1.1 100 Continue\r\n\r\n")
		fmt.Fprint(c, "x")
	} else {
		fmt.Fprint(c, head, "\r\nx")
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, resp.Body); n > 0 || err != nil || resp.StatusCode != 200 {
		t.Fatalf("%d, %d bytes, %v", resp.StatusCode, n, err)
	}
}
