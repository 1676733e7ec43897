package proxy_test

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/proxytest"
)

// BenchmarkBulk is many bytes through both proxies, client and application
// included: on an opaque connection to the server and from it, and as the body of
// an answer of HTTP/1.1. One operation is a megabyte.
func BenchmarkBulk(b *testing.B) {
	const size = 1 << 20
	for _, way := range []string{"up", "down", "answer"} {
		b.Run(way, func(b *testing.B) {
			app := make(chan net.Conn, 1)
			p := proxytest.New(b, proxytest.Config{Apps: []netip.AddrPort{bulkApp(b, app)}})
			first := "\x00" // no HTTP begins so
			if way == "answer" {
				first = "GET / HTTP/1.1\r\nHost: app.shop\r\n\r\n"
			}
			c, err := net.Dial("tcp", p.Upstream.String())
			if err != nil {
				b.Fatal(err)
			}
			defer c.Close()
			if _, err := c.Write([]byte(first)); err != nil {
				b.Fatal(err)
			}
			from, to := c, <-app
			defer to.Close()
			if way != "up" {
				from, to = to, from
			}
			if way == "answer" {
				_, _ = fmt.Fprintf(from, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", b.N*size)
			}
			b.SetBytes(size)
			b.ReportAllocs()
			b.ResetTimer()
			before := cpu()
			sent := make(chan error, 1)
			go func() {
				p := make([]byte, 128<<10)
				for left := b.N * size; left > 0; left -= len(p) {
					if _, err := from.Write(p); err != nil {
						sent <- err
						return
					}
				}
				sent <- nil
			}()
			got := make([]byte, 128<<10)
			for left := b.N * size; left > 0; {
				n, err := to.Read(got)
				if err != nil {
					b.Fatal(err)
				}
				left -= n
			}
			if err := <-sent; err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64((cpu()-before).Microseconds())/float64(b.N), "cpu-µs/op")
		})
	}
}

// cpu is what this process has had of the processors.
func cpu() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bulkApp hands over the first connection with bytes on it, without them: they
// come at once.
func bulkApp(b *testing.B, to chan<- net.Conn) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			if _, err := c.Read(make([]byte, 4096)); err != nil {
				c.Close()
				continue
			}
			to <- c
			return
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}
