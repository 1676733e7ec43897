package proxy_test

import (
	"bytes"
	"errors"
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
	block    bytes.Buffer
	enc      *hpack.Encoder
	extended bool // the other end announced extended CONNECT
}

// newFrames begins the client's side, or the server's.
func newFrames(t testing.TB, c net.Conn, server bool, settings ...http2.Setting) *frames {
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
	must(t, f.WriteSettings(settings...))
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
	block := f.block.Bytes()
	first := block[:min(len(block), 16<<10)]
	block = block[len(first):]
	must(f.t, f.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, EndStream: end, EndHeaders: len(block) == 0, BlockFragment: first,
	}))
	for len(block) > 0 {
		part := block[:min(len(block), 16<<10)]
		block = block[len(part):]
		must(f.t, f.WriteContinuation(stream, len(block) == 0, part))
	}
}

// post begins a request on a stream.
func (f *frames) post(stream uint32, end bool) {
	f.t.Helper()
	f.head(stream, end, ":method", "POST", ":scheme", "http", ":authority", "app.shop", ":path", "/")
}

// next gives the next frame about a stream, or GOAWAY, as text.
func (f *frames) next() string {
	f.t.Helper()
	for {
		text, err := f.read()
		if err != nil {
			return fmt.Sprint(err)
		}
		if text != "" {
			return text
		}
	}
}

// untilGoAway reads the first GOAWAY and answers nothing.
func (f *frames) untilGoAway() (*http2.GoAwayFrame, error) {
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return nil, err
		}
		if g, ok := frame.(*http2.GoAwayFrame); ok {
			return g, nil
		}
	}
}

// readOne reads a frame that is about the connection.
func (f *frames) readOne() error {
	text, err := f.read()
	if err == nil && text != "" {
		err = errors.New("came: " + text)
	}
	return err
}

// read gives a frame as text, "" for those that are about the connection. These
// are answered.
func (f *frames) read() (string, error) {
	frame, err := f.ReadFrame()
	if err != nil {
		return "", err
	}
	switch fr := frame.(type) {
	case *http2.MetaHeadersFrame:
		return fmt.Sprintf("head %d %v %s", fr.StreamID, fr.StreamEnded(), fr.PseudoValue("status")), nil
	case *http2.DataFrame:
		return fmt.Sprintf("data %d %v %q", fr.StreamID, fr.StreamEnded(), fr.Data()), nil
	case *http2.RSTStreamFrame:
		return fmt.Sprintf("reset %d %v", fr.StreamID, fr.ErrCode), nil
	case *http2.GoAwayFrame:
		return fmt.Sprintf("goaway %d %v", fr.LastStreamID, fr.ErrCode), nil
	case *http2.SettingsFrame:
		if v, ok := fr.Value(http2.SettingEnableConnectProtocol); ok {
			f.extended = v == 1
		}
	case *http2.PingFrame:
		if !fr.IsAck() {
			return "", f.WritePing(true, fr.Data)
		}
	}
	return "", nil
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
