package http1

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

const (
	benchRequest = "GET /api/v1/items?limit=10 HTTP/1.1\r\nHost: catalog.shop:8080\r\nUser-Agent: Go-http-client/1.1\r\n" +
		"Accept: */*\r\nAccept-Encoding: gzip\r\nX-Request-Id: 0123456789abcdef0123456789abcdef\r\n\r\n"
	benchResponse = "HTTP/1.1 200 OK\r\nServer: nginx/1.22.1\r\nDate: Tue, 15 Nov 1994 08:12:31 GMT\r\n" +
		"Content-Type: text/plain\r\nContent-Length: 12\r\nConnection: keep-alive\r\n\r\n"
	benchListed = "GET / HTTP/1.1\r\nHost: h\r\nConnection: x-a, x-b\r\nX-A: 1\r\nX-B: 2\r\n\r\n"
)

// hot are the steps that every request goes through, and none may allocate.
func hot() map[string]func() bool {
	var r, sent Request
	var a Response
	var c Chunks
	request, response, listed := []byte(benchRequest), []byte(benchResponse), []byte(benchListed)
	chunked := []byte("1000\r\n" + strings.Repeat("x", 4096) + "\r\n0\r\nA: b\r\n\r\n")
	out := make([]byte, 0, 1024)
	refused := []byte("GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n")
	_, _ = sent.Parse([]byte(benchRequest), nil)
	return map[string]func() bool{
		"Request":       func() bool { n, err := r.Parse(request, nil); return n == len(request) && err == nil },
		"RequestListed": func() bool { n, err := r.Parse(listed, nil); return n == len(listed) && err == nil },
		"RequestInPieces": func() bool {
			for n := 1; n < len(request); n += 16 {
				if got, err := r.Parse(request[:n], nil); got != 0 || err != nil {
					return false
				}
			}
			n, err := r.Parse(request, nil)
			return n == len(request) && err == nil
		},
		"RequestReset": func() bool { n, err := r.Parse(refused, nil); r.Reset(); return n == 0 && err == nil },
		"Response":     func() bool { n, err := a.Parse(response, VerbGet, nil); return n == len(response) && err == nil },
		"Chunks": func() bool {
			c.Reset()
			for at := 0; !c.Done(); {
				_, n, err := c.Next(chunked[at:])
				if n == 0 || err != nil {
					return false
				}
				at += n
			}
			return len(c.Trailers()) == 1
		},
		"Append": func() bool {
			b := AppendRequestLine(out[:0], "GET", "/api/v1/items?limit=10", 1)
			for i := range sent.Fields {
				b = AppendField(b, sent.Fields[i].Name, sent.Fields[i].Value)
			}
			return len(AppendEnd(AppendInt(b, "Content-Length", 5))) > 0
		},
		"Sniff": func() bool { return Sniff(request) == Yes },
	}
}

func TestHotStepsDoNotAllocate(t *testing.T) {
	for name, step := range hot() {
		if !step() { // the first grows what is kept
			t.Errorf("%s: went wrong", name)
		}
		if n := testing.AllocsPerRun(100, func() { step() }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkHotSteps(b *testing.B) {
	steps := hot()
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		step := steps[name]
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				step()
			}
		})
	}
}
