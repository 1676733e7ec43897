package http2

import (
	"bytes"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"
)

// TestWriters holds the bytes against golang.org/x/net's Framer.
func TestWriters(t *testing.T) {
	block := strings.Repeat("\x82", 40)
	for name, c := range map[string]struct {
		own    []byte
		theirs func(f *xhttp2.Framer) error
	}{
		"settings": {
			AppendSettings(nil, Setting{SettingInitialWindowSize, 70000}, Setting{SettingEnablePush, 0}),
			func(f *xhttp2.Framer) error {
				return f.WriteSettings(xhttp2.Setting{ID: xhttp2.SettingInitialWindowSize, Val: 70000}, xhttp2.Setting{ID: xhttp2.SettingEnablePush})
			},
		},
		"settings ack": {AppendSettingsAck(nil), func(f *xhttp2.Framer) error { return f.WriteSettingsAck() }},
		"ping":         {AppendPing(nil, false, [8]byte{1, 2}), func(f *xhttp2.Framer) error { return f.WritePing(false, [8]byte{1, 2}) }},
		"ping ack":     {AppendPing(nil, true, [8]byte{1, 2}), func(f *xhttp2.Framer) error { return f.WritePing(true, [8]byte{1, 2}) }},
		"goaway": {
			AppendGoAway(nil, 7, ErrCodeEnhanceYourCalm, "why"),
			func(f *xhttp2.Framer) error {
				return f.WriteGoAway(7, xhttp2.ErrCodeEnhanceYourCalm, []byte("why"))
			},
		},
		"reset": {
			AppendReset(nil, 70000, ErrCodeCancel),
			func(f *xhttp2.Framer) error { return f.WriteRSTStream(70000, xhttp2.ErrCodeCancel) },
		},
		"window": {
			AppendWindowUpdate(nil, 3, 1<<20),
			func(f *xhttp2.Framer) error { return f.WriteWindowUpdate(3, 1<<20) },
		},
		"data": {
			AppendData(nil, 3, []byte("abc"), true),
			func(f *xhttp2.Framer) error { return f.WriteData(3, true, []byte("abc")) },
		},
		"headers": {
			AppendHeaders(nil, 3, []byte(block), true, 40),
			func(f *xhttp2.Framer) error {
				return f.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 3, BlockFragment: []byte(block), EndStream: true, EndHeaders: true})
			},
		},
		"headers split": {
			AppendHeaders(nil, 3, []byte(block), false, 16),
			func(f *xhttp2.Framer) error {
				return errorsOf(
					f.WriteHeaders(xhttp2.HeadersFrameParam{StreamID: 3, BlockFragment: []byte(block[:16])}),
					f.WriteContinuation(3, false, []byte(block[16:32])),
					f.WriteContinuation(3, true, []byte(block[32:])),
				)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out bytes.Buffer
			if err := c.theirs(xhttp2.NewFramer(&out, nil)); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(c.own, out.Bytes()) {
				t.Errorf("% x, want % x", c.own, out.Bytes())
			}
		})
	}
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestFinishHeaders: encoding in place gives the same as AppendHeaders.
func TestFinishHeaders(t *testing.T) {
	for n := range 70 {
		for _, end := range []bool{false, true} {
			block := bytes.Repeat([]byte{0x82}, n)
			before := []byte("before")
			want := AppendHeaders(append([]byte{}, before...), 5, block, end, 16)
			got := StartHeaders(append([]byte{}, before...))
			got = FinishHeaders(append(got, block...), len(before), 5, end, 16)
			if !bytes.Equal(got, want) {
				t.Fatalf("%d bytes: % x, want % x", n, got, want)
			}
		}
	}
}

func TestSniffPreface(t *testing.T) {
	for i := range Preface {
		if v := SniffPreface([]byte(Preface[:i])); v != More {
			t.Errorf("%q: %v", Preface[:i], v)
		}
		bad := []byte(Preface[:i] + "?")
		if v := SniffPreface(bad); v != No {
			t.Errorf("%q: %v", bad, v)
		}
	}
	if v := SniffPreface([]byte(Preface + "more")); v != Yes {
		t.Errorf("the preface and more: %v", v)
	}
}

func TestSniffSettings(t *testing.T) {
	many := AppendFrameHeader(nil, 2730*settingLen, FrameSettings, 0, 0)
	for _, good := range [][]byte{
		AppendSettings(nil), AppendSettings(nil, Setting{1, 1}, Setting{2, 0}), many,
	} {
		for i := range FrameHeaderLen {
			if v := SniffSettings(good[:i]); v != More {
				t.Errorf("% x: %v", good[:i], v)
			}
		}
		if v := SniffSettings(good); v != Yes {
			t.Errorf("% x: %v", good, v)
		}
	}
	for name, bad := range map[string][]byte{
		"ack":         AppendSettingsAck(nil),
		"ping":        AppendPing(nil, false, [8]byte{}),
		"stream":      AppendFrameHeader(nil, 6, FrameSettings, 0, 1),
		"length 5":    AppendFrameHeader(nil, 5, FrameSettings, 0, 0),
		"too long":    AppendFrameHeader(nil, MinMaxFrame+2, FrameSettings, 0, 0),
		"far too":     AppendFrameHeader(nil, 1<<16, FrameSettings, 0, 0),
		"http/1":      []byte("HTTP/1.1 408 Request Timeout\r\n"),
		"h":           []byte("H"),
		"mysql":       []byte("\x4a\x00\x00\x00\x0a5.5.5-10.11"),
		"smtp":        []byte("220 mail ESMTP\r\n"),
		"nats":        []byte("INFO {"),
		"tls alert":   []byte("\x15\x03\x01\x00\x02\x02\x28"),
		"postgres":    []byte("N"),
		"zero length": make([]byte, 9),
	} {
		if v := SniffSettings(bad); v != No {
			t.Errorf("%s: %v", name, v)
		}
	}
}
