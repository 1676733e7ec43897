package proxy_test

import (
	"bytes"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"testing"

	"github.com/leno-mesh/leno/proxy/proxytest"
)

// cannedApp answers every request with the same 100 bytes, without
// allocating.
func cannedApp(t testing.TB) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	answer := append([]byte("HTTP/1.1 200 OK\r\nServer: canned\r\nContent-Type: text/plain\r\nContent-Length: 100\r\nConnection: keep-alive\r\n\r\n"), bytes.Repeat([]byte("x"), 100)...)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 4096)
				n := 0
				for {
					k, err := c.Read(buf[n:])
					if err != nil {
						return
					}
					if n += k; bytes.HasSuffix(buf[:n], []byte("\r\n\r\n")) {
						n = 0
						if _, err := c.Write(answer); err != nil {
							return
						}
					}
				}
			}()
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

var benchRequest = []byte("GET /some/path HTTP/1.1\r\nHost: app.shop\r\nUser-Agent: bench/1.0\r\nAccept: */*\r\n\r\n")

// exchange sends one request and reads its answer.
func exchange(c net.Conn, buf []byte) error {
	if _, err := c.Write(benchRequest); err != nil {
		return err
	}
	n := 0
	for {
		k, err := c.Read(buf[n:])
		if err != nil {
			return err
		}
		n += k
		if i := bytes.Index(buf[:n], []byte("\r\n\r\n")); i > 0 && n >= i+4+100 {
			return nil
		}
	}
}

// BenchmarkRequest is one request through both proxies, application and
// client included, with some connections at once.
func BenchmarkRequest(b *testing.B) {
	for _, conns := range []int{8, 64, 512} {
		b.Run(strconv.Itoa(conns), func(b *testing.B) { benchmarkRequest(b, conns) })
	}
}

func benchmarkRequest(b *testing.B, conns int) {
	p := proxytest.New(b, proxytest.Config{Apps: []netip.AddrPort{cannedApp(b)}})
	cs := make([]net.Conn, conns)
	for i := range cs {
		c, err := net.Dial("tcp", p.Upstream.String())
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		if err := exchange(c, make([]byte, 4096)); err != nil {
			b.Fatal(err)
		}
		cs[i] = c
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	var wg sync.WaitGroup
	for i, c := range cs {
		n := b.N / conns
		if i < b.N%conns {
			n++
		}
		wg.Go(func() {
			buf := make([]byte, 4096)
			for range n {
				if err := exchange(c, buf); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
}

// TestAllocations holds the budget of two allocations for one request through
// both proxies. The client and the application here make none.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{cannedApp(t)}})
	c, err := net.Dial("tcp", p.Upstream.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	buf := make([]byte, 4096)
	for range 100 { // fill pools and header tables
		if err := exchange(c, buf); err != nil {
			t.Fatal(err)
		}
	}
	got := testing.AllocsPerRun(2000, func() {
		if err := exchange(c, buf); err != nil {
			t.Fatal(err)
		}
	})
	if got > 2 {
		t.Errorf("%.1f allocations for a request, want 2 at most", got)
	}
}
