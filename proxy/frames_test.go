package proxy_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// frames is one end of a connection of HTTP/2 that a test plays by hand.
type frames struct {
	t    testing.TB
	conn net.Conn
	*http2.Framer
	block bytes.Buffer
	enc   *hpack.Encoder
}

// newFrames begins the client's side, or the server's.
func newFrames(t testing.TB, c net.Conn, server bool) *frames {
	t.Helper()
	f := &frames{t: t, conn: c, Framer: http2.NewFramer(c, c)}
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	f.enc = hpack.NewEncoder(&f.block)
	_ = c.SetDeadline(time.Now().Add(patience))
	if server {
		if b := make([]byte, len(http2.ClientPreface)); must(t, second(io.ReadFull(c, b))) && string(b) != http2.ClientPreface {
			t.Fatalf("the preface is %q", b)
		}
	} else {
		must(t, second(io.WriteString(c, http2.ClientPreface)))
	}
	must(t, f.WriteSettings())
	return f
}

func second[T any](_ T, err error) error { return err }

func must(t testing.TB, err error) bool {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return true
}

// head sends HEADERS with pairs of names and values.
func (f *frames) head(stream uint32, end bool, pairs ...string) {
	f.t.Helper()
	f.block.Reset()
	for i := 0; i < len(pairs); i += 2 {
		_ = f.enc.WriteField(hpack.HeaderField{Name: pairs[i], Value: pairs[i+1]})
	}
	must(f.t, f.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, EndStream: end, EndHeaders: true, BlockFragment: f.block.Bytes(),
	}))
}

// post begins a request on a stream.
func (f *frames) post(stream uint32, end bool) {
	f.t.Helper()
	f.head(stream, end, ":method", "POST", ":scheme", "http", ":authority", "app.shop", ":path", "/")
}

// next gives the next frame about a stream, or GOAWAY, as text. What else comes
// is answered.
func (f *frames) next() string {
	f.t.Helper()
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return fmt.Sprint(err)
		}
		switch fr := frame.(type) {
		case *http2.MetaHeadersFrame:
			return fmt.Sprintf("head %d %v %s", fr.StreamID, fr.StreamEnded(), fr.PseudoValue("status"))
		case *http2.DataFrame:
			return fmt.Sprintf("data %d %v %q", fr.StreamID, fr.StreamEnded(), fr.Data())
		case *http2.RSTStreamFrame:
			return fmt.Sprintf("reset %d %v", fr.StreamID, fr.ErrCode)
		case *http2.GoAwayFrame:
			return fmt.Sprintf("goaway %d %v", fr.LastStreamID, fr.ErrCode)
		case *http2.PingFrame:
			if !fr.IsAck() {
				must(f.t, f.WritePing(true, fr.Data))
			}
		}
	}
}

// expect reads frames.
func (f *frames) expect(want ...string) {
	f.t.Helper()
	for _, w := range want {
		if got := f.next(); got != w {
			f.t.Fatalf("got %q, want %q", got, w)
		}
	}
}
