package proxy_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"

	"golang.org/x/net/http2"

	"github.com/leno-mesh/leno/proxy/proxytest"
)

// What the two ends below send, in RFC 7541's form: the request's head, and the
// answer's head with its content-length of 100.
const (
	cannedRequest = "\x82\x86\x84\x01\x04shop"
	cannedAnswer  = "\x88\x0f\x0d\x03100"
)

// cannedH2 is one end of a connection of HTTP/2 that allocates nothing once it
// stands.
type cannedH2 struct {
	net.Conn

	in, out []byte
	n       int // bytes in in
	stream  uint32
}

func newCannedH2(c net.Conn) *cannedH2 {
	return &cannedH2{Conn: c, in: make([]byte, 64<<10), out: make([]byte, 0, 4096)}
}

func (c *cannedH2) frame(kind http2.FrameType, flags http2.Flags, stream uint32, payload string) {
	c.out = append(c.out, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), byte(kind), byte(flags))
	c.out = binary.BigEndian.AppendUint32(c.out, stream)
	c.out = append(c.out, payload...)
}

func (c *cannedH2) flush() error {
	_, err := c.Write(c.out)
	c.out = c.out[:0]
	return err
}

// next reads frames until one ends a stream, and answers SETTINGS and PING.
func (c *cannedH2) next() (stream uint32, err error) {
	for {
		for c.n >= 9 {
			size := 9 + int(c.in[0])<<16 + int(c.in[1])<<8 + int(c.in[2])
			if c.n < size {
				break
			}
			kind, flags := http2.FrameType(c.in[3]), http2.Flags(c.in[4])
			stream = binary.BigEndian.Uint32(c.in[5:])
			switch {
			case kind == http2.FrameSettings && flags&http2.FlagSettingsAck == 0:
				c.frame(kind, http2.FlagSettingsAck, 0, "")
			case kind == http2.FramePing && flags&http2.FlagPingAck == 0:
				c.frame(kind, http2.FlagPingAck, 0, string(c.in[9:17]))
			case kind == http2.FrameGoAway, kind == http2.FrameRSTStream:
				return 0, errors.New("the proxy ended the connection or the stream")
			}
			c.n = copy(c.in, c.in[size:c.n])
			if (kind == http2.FrameData || kind == http2.FrameHeaders) && flags&http2.FlagDataEndStream != 0 {
				return stream, nil
			}
		}
		if len(c.out) > 0 {
			if err := c.flush(); err != nil {
				return 0, err
			}
		}
		k, err := c.Read(c.in[c.n:])
		if err != nil {
			return 0, err
		}
		c.n += k
	}
}

// cannedH2App answers every request with 100 bytes.
func cannedH2App(t *testing.T) netip.AddrPort {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go serveCannedH2(newCannedH2(conn))
		}
	}()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func serveCannedH2(c *cannedH2) {
	defer c.Close()
	if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
		return
	}
	c.frame(http2.FrameSettings, 0, 0, "")
	body := string(make([]byte, 100))
	for {
		stream, err := c.next()
		if err != nil {
			return
		}
		c.frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders, stream, cannedAnswer)
		c.frame(http2.FrameData, http2.FlagDataEndStream, stream, body)
		if err := c.flush(); err != nil {
			return
		}
	}
}

// TestAllocationsHTTP2 holds the budget of two allocations for one request of
// HTTP/2 through both proxies. The client and the application here make none.
func TestAllocationsHTTP2(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	p := proxytest.New(t, proxytest.Config{Apps: []netip.AddrPort{cannedH2App(t)}})
	conn, err := net.Dial("tcp", p.Upstream.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := newCannedH2(conn)
	c.out = append(c.out, http2.ClientPreface...)
	c.frame(http2.FrameSettings, 0, 0, "")
	c.frame(http2.FrameWindowUpdate, 0, 0, "\x3f\xff\x00\x00")
	exchange := func() {
		c.stream += 2
		c.frame(http2.FrameHeaders, http2.FlagHeadersEndHeaders|http2.FlagHeadersEndStream, c.stream, cannedRequest)
		if err := c.flush(); err != nil {
			t.Fatal(err)
		}
		if _, err := c.next(); err != nil {
			t.Fatal(err)
		}
	}
	c.stream = 1<<32 - 1 // so that the first is 1
	for range 100 {      // fill pools and header tables
		exchange()
	}
	if got := testing.AllocsPerRun(2000, exchange); got > 2 {
		t.Errorf("%.1f allocations for a request, want 2 at most", got)
	}
}
