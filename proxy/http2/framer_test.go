package http2

import (
	"bytes"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"
)

// writer writes random valid frames with golang.org/x/net's Framer and encoder.
type writer struct {
	out    bytes.Buffer
	framer *xhttp2.Framer
	block  bytes.Buffer
	enc    *hpack.Encoder
}

func (w *writer) write(t *rapid.T) error {
	stream := rapid.Uint32Range(1, 9).Draw(t, "stream")
	end := rapid.Bool().Draw(t, "end")
	word := rapid.Uint32Range(1, MaxWindow).Draw(t, "word")
	payload := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "payload")
	switch rapid.IntRange(0, 9).Draw(t, "frame") {
	case 0:
		return w.framer.WriteDataPadded(stream, end, payload, make([]byte, word%256))
	case 1:
		return w.framer.WriteData(stream, end, payload)
	case 2:
		return w.framer.WriteSettings(
			xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: word},
			xhttp2.Setting{ID: 0x77, Val: word})
	case 3:
		return w.framer.WritePing(end, [8]byte{byte(word)})
	case 4:
		return w.framer.WriteGoAway(stream, xhttp2.ErrCode(word%20), payload)
	case 5:
		return w.framer.WriteWindowUpdate(stream-1, word)
	case 6:
		return w.framer.WriteRSTStream(stream, xhttp2.ErrCode(word%20))
	case 7:
		return w.framer.WriteRawFrame(0xbb, 0xff, stream, payload)
	}
	return w.headers(t, stream, end, uint8(word))
}

func (w *writer) headers(t *rapid.T, stream uint32, end bool, pad uint8) error {
	w.block.Reset()
	for range rapid.IntRange(0, 6).Draw(t, "fields") {
		err := w.enc.WriteField(hpack.HeaderField{
			Name:      rapid.SampledFrom([]string{":path", ":status", "host", "x-a", "x-b"}).Draw(t, "name"),
			Value:     rapid.StringMatching(`[a-z0-9]{0,12}`).Draw(t, "value"),
			Sensitive: rapid.Bool().Draw(t, "sensitive"),
		})
		if err != nil {
			return err
		}
	}
	block := w.block.Bytes()
	cut := rapid.IntRange(0, len(block)).Draw(t, "cut")
	p := xhttp2.HeadersFrameParam{
		StreamID: stream, EndStream: end, EndHeaders: cut == len(block),
		BlockFragment: block[:cut], PadLength: pad,
	}
	if pad%2 == 0 {
		p.Priority = xhttp2.PriorityParam{StreamDep: 11, Weight: pad}
	}
	if err := w.framer.WriteHeaders(p); err != nil || p.EndHeaders {
		return err
	}
	return w.framer.WriteContinuation(stream, true, block[cut:])
}

// TestReaderFromTheirs: what the other implementation writes, in any pieces,
// reads here as it reads there.
func TestReaderFromTheirs(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := &writer{}
		w.framer = xhttp2.NewFramer(&w.out, nil)
		w.enc = hpack.NewEncoder(&w.block)
		for range rapid.IntRange(1, 20).Draw(rt, "frames") {
			if err := w.write(rt); err != nil {
				rt.Fatalf("writing: %v", err)
			}
		}
		input := w.out.Bytes()
		o := newOracle(input, Limits{})
		if out := o.run(); out != cutOff || o.input.Len() != 0 {
			rt.Fatalf("the other side reads to %d, %d bytes left", out, o.input.Len())
		}
		got := feed(t, started(t), input, func() int { return rapid.IntRange(1, 600).Draw(rt, "piece") })
		if a, b := strings.Join(got, "\n"), strings.Join(o.lines, "\n"); a != b {
			rt.Fatalf("got:\n%s\nwant:\n%s", a, b)
		}
	})
}
