package http2

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// line renders an event for comparison; what aliases buffers is copied by it.
func (e *Event) line() string {
	end := ""
	if e.EndStream {
		end = " end"
	}
	ack := ""
	if e.Ack {
		ack = " ack"
	}
	switch e.Type {
	case EventHeaders:
		return fmt.Sprintf("headers %d%s %s", e.Stream, end, strings.ReplaceAll(text(e.Fields), "\n", "; "))
	case EventData:
		return fmt.Sprintf("data %d%s flow=%d %q", e.Stream, end, e.Flow, e.Data)
	case EventPriority:
		return fmt.Sprintf("priority %d", e.Stream)
	case EventReset:
		return fmt.Sprintf("reset %d %v", e.Stream, e.Code)
	case EventSettings:
		s := "settings" + ack
		for v := range e.Settings() {
			s += fmt.Sprintf(" %d=%d", v.ID, v.Value)
		}
		return s
	case EventPing:
		return fmt.Sprintf("ping%s %x", ack, e.Ping)
	case EventGoAway:
		return fmt.Sprintf("goaway %d %v %q", e.LastStream, e.Code, e.Data)
	case EventWindowUpdate:
		return fmt.Sprintf("window %d +%d", e.Stream, e.Increment)
	case EventUnknown:
		return fmt.Sprintf("unknown %d", e.Stream)
	}
	return "none"
}

// feed gives input to r in pieces that chunk cuts off (it says how many bytes
// come with the next read), and renders what comes out. The pieces of one DATA
// frame are put together. It ends at the first connection error.
func feed(t testing.TB, r *Reader, input []byte, chunk func() int) []string {
	t.Helper()
	var out []string
	var data *Event // the DATA frame that is being put together
	var pending []byte
	for len(input) > 0 {
		n := min(max(1, chunk()), len(input))
		pending = append(pending, input[:n]...)
		input = input[n:]
		for {
			ev, n, err := r.Next(pending)
			if n < 0 || n > len(pending) {
				t.Fatalf("%d of %d bytes consumed", n, len(pending))
			}
			if ev.Type == EventData {
				data = join(data, ev)
				if ev.Last {
					out, data = append(out, data.line()), nil
				}
			} else if ev.Type != EventNone {
				out = append(out, ev.line())
			}
			pending = pending[n:]
			if err != nil {
				out = append(out, "error: "+strings.TrimPrefix(err.Error(), "http2: "))
				var e *Error
				if !errors.As(err, &e) {
					t.Fatalf("error is a %T", err)
				}
				if e.Stream == 0 {
					return out
				}
			}
			if n == 0 && ev.Type == EventNone && err == nil {
				break
			}
		}
		if len(pending) > MinBuffer+n {
			t.Fatalf("%d bytes are not consumed, MinBuffer is %d", len(pending), MinBuffer)
		}
	}
	return out
}

func join(sum *Event, piece Event) *Event {
	if sum == nil {
		sum = &Event{Type: EventData, Stream: piece.Stream}
	}
	sum.Data = append(sum.Data, piece.Data...)
	sum.Flow += piece.Flow
	sum.EndStream = piece.EndStream
	return sum
}

func whole() int { return 1 << 30 }

// frame makes one frame of any kind.
func frame(t FrameType, flags uint8, stream uint32, payload string) []byte {
	return append(AppendFrameHeader(nil, len(payload), t, flags, stream), payload...)
}

const get = "\x82\x86\x84" // :method GET, :scheme http, :path /

// readerCases are what follows the first, empty SETTINGS frame; limits are the
// default ones but for MaxHeaderBytes 200, MaxFields 4 and MaxContinuations 3.
var readerCases = []struct {
	name   string
	frames [][]byte
	want   string // lines; errors without their "http2: "
}{
	{"headers", [][]byte{frame(FrameHeaders, 0x5, 1, get)}, "headers 1 end :method: GET; :scheme: http; :path: /; "},
	{"headers empty", [][]byte{frame(FrameHeaders, 0x4, 1, "")}, "headers 1 "},
	{"headers padded with priority", [][]byte{frame(FrameHeaders, 0x2c, 1, "\x02\x00\x00\x00\x00\x10\x82\x00\x00")}, "headers 1 :method: GET; "},
	{"headers padding too long", [][]byte{frame(FrameHeaders, 0xc, 1, "\x02\x82")}, "error: connection error: padding (PROTOCOL_ERROR)"},
	{"headers only padding", [][]byte{frame(FrameHeaders, 0xc, 1, "\x01\x00")}, "headers 1 "},
	{"headers without pad length", [][]byte{frame(FrameHeaders, 0xc, 1, "")}, "error: connection error: frame size (FRAME_SIZE_ERROR)"},
	{"headers with short priority", [][]byte{frame(FrameHeaders, 0x24, 1, "\x00\x00\x00\x00")}, "error: connection error: frame size (FRAME_SIZE_ERROR)"},
	{"headers on stream 0", [][]byte{frame(FrameHeaders, 0x4, 0, get)}, "error: connection error: stream id (PROTOCOL_ERROR)"},
	{"headers in three frames", [][]byte{
		frame(FrameHeaders, 0x1, 3, "\x00"), frame(FrameContinuation, 0, 3, "\x01a"), frame(FrameContinuation, 4, 3, "\x01b"),
	}, "headers 3 end a: b; "},
	{"headers cut by data", [][]byte{frame(FrameHeaders, 0, 1, get), frame(FrameData, 0, 1, "")}, "error: connection error: continuation sequence (PROTOCOL_ERROR)"},
	{"headers cut by unknown", [][]byte{frame(FrameHeaders, 0, 1, get), frame(0xbb, 0, 1, "")}, "error: connection error: continuation sequence (PROTOCOL_ERROR)"},
	{"continuation of another stream", [][]byte{frame(FrameHeaders, 0, 1, get), frame(FrameContinuation, 4, 3, "")}, "error: connection error: continuation sequence (PROTOCOL_ERROR)"},
	{"continuation alone", [][]byte{frame(FrameContinuation, 4, 1, get)}, "error: connection error: continuation sequence (PROTOCOL_ERROR)"},
	{"too many continuations", [][]byte{
		frame(FrameHeaders, 0, 1, ""), frame(FrameContinuation, 0, 1, ""), frame(FrameContinuation, 0, 1, ""),
		frame(FrameContinuation, 0, 1, ""), frame(FrameContinuation, 4, 1, ""),
	}, "error: connection error: header block too large (ENHANCE_YOUR_CALM)"},
	{"header block too large", [][]byte{
		frame(FrameHeaders, 0, 1, strings.Repeat("\x82", 400)), frame(FrameContinuation, 0x4, 1, "\x82"),
	}, "error: connection error: header block too large (ENHANCE_YOUR_CALM)"},
	{"header list too large", [][]byte{frame(FrameHeaders, 0x5, 1, strings.Repeat("\x82", 5)), frame(FrameHeaders, 0x5, 3, "\x82")}, "" +
		"headers 1 end :method: GET; :method: GET; :method: GET; :method: GET; \n" +
		"error: stream 1: header list too large (ENHANCE_YOUR_CALM)\n" +
		"headers 3 end :method: GET; "},
	{"too many fields", [][]byte{frame(FrameHeaders, 0x5, 1, strings.Repeat("\x84", 5)), frame(FrameHeaders, 0x5, 3, "\x82")}, "" +
		"headers 1 end :path: /; :path: /; :path: /; :path: /; \n" +
		"error: stream 1: header list too large (ENHANCE_YOUR_CALM)\n" +
		"headers 3 end :method: GET; "},
	{"header block broken", [][]byte{frame(FrameHeaders, 0x4, 1, "\x80")}, "error: connection error: header compression (COMPRESSION_ERROR)"},

	{"data", [][]byte{frame(FrameData, 0, 1, "abc"), frame(FrameData, 1, 1, "")}, "data 1 flow=3 \"abc\"\ndata 1 end flow=0 \"\""},
	{"data padded", [][]byte{frame(FrameData, 0x9, 1, "\x02abc\x00\x00")}, "data 1 end flow=6 \"abc\""},
	{"data only padding", [][]byte{frame(FrameData, 0x8, 1, "\x02\x00\x00")}, "data 1 flow=3 \"\""},
	{"data pad length only", [][]byte{frame(FrameData, 0x8, 1, "\x00")}, "data 1 flow=1 \"\""},
	{"data padding too long", [][]byte{frame(FrameData, 0x8, 1, "\x03\x00\x00")}, "error: connection error: padding (PROTOCOL_ERROR)"},
	{"data without pad length", [][]byte{frame(FrameData, 0x8, 1, "")}, "error: connection error: frame size (FRAME_SIZE_ERROR)"},
	{"data on stream 0", [][]byte{frame(FrameData, 0, 0, "a")}, "error: connection error: stream id (PROTOCOL_ERROR)"},
	{"data reserved bit", [][]byte{frame(FrameData, 0, 1<<31|5, "a")}, "data 5 flow=1 \"a\""},
	{"data too large", [][]byte{AppendFrameHeader(nil, MinMaxFrame+1, FrameData, 0, 1)}, "error: connection error: frame size (FRAME_SIZE_ERROR)"},

	{"priority", [][]byte{frame(FramePriority, 0, 3, "\x00\x00\x00\x01\x10")}, "priority 3"},
	{"priority of itself", [][]byte{frame(FramePriority, 0, 3, "\x80\x00\x00\x03\x10")}, "error: connection error: dependency on itself (PROTOCOL_ERROR)"},
	{"headers that depend on themselves", [][]byte{frame(FrameHeaders, 0x24, 1, "\x00\x00\x00\x01\x10\x82"), frame(FrameHeaders, 0x04, 3, "\x82")}, "headers 1 :method: GET; \nerror: stream 1: dependency on itself (PROTOCOL_ERROR)\nheaders 3 :method: GET; "},
	{"priority of a wrong size", [][]byte{frame(FramePriority, 0, 3, "abcdef"), frame(FrameReset, 0, 1, "\x00\x00\x00\x00")}, "error: stream 3: frame size (FRAME_SIZE_ERROR)\nreset 1 NO_ERROR"},
	{"priority of no size", [][]byte{frame(FramePriority, 0, 3, ""), frame(FrameReset, 0, 1, "\x00\x00\x00\x00")}, "error: stream 3: frame size (FRAME_SIZE_ERROR)\nreset 1 NO_ERROR"},
	{"priority on stream 0", [][]byte{frame(FramePriority, 0, 0, "\x00\x00\x00\x01\x10")}, "error: connection error: stream id (PROTOCOL_ERROR)"},

	{"reset", [][]byte{AppendReset(nil, 7, ErrCodeRefusedStream)}, "reset 7 REFUSED_STREAM"},
	{"reset with an unknown code", [][]byte{AppendReset(nil, 7, 0x99)}, "reset 7 error code 0x99"},
	{"reset on stream 0", [][]byte{AppendReset(nil, 0, 0)}, "error: connection error: stream id (PROTOCOL_ERROR)"},
	{"reset of a wrong size", [][]byte{frame(FrameReset, 0, 7, "abcde")}, "error: connection error: frame size (FRAME_SIZE_ERROR)"},

	{"settings", [][]byte{AppendSettings(nil, Setting{1, 2}, Setting{0x99, 5}), AppendSettingsAck(nil)}, "settings 1=2 153=5\nsettings ack"},
	{"settings on a stream", [][]byte{frame(FrameSettings, 0, 1, "")}, "error: connection error: stream id (PROTOCOL_ERROR)"},
	{"settings of a wrong size", [][]byte{frame(FrameSettings, 0, 0, "abcde")}, "error: connection error: frame size (FRAME_SIZE_ERROR)"},
	{"settings ack with values", [][]byte{frame(FrameSettings, 1, 0, "abcdef")}, "error: connection error: frame size (FRAME_SIZE_ERROR)"},
	{"settings push 2", [][]byte{AppendSettings(nil, Setting{SettingEnablePush, 2})}, "error: connection error: settings value (PROTOCOL_ERROR)"},
	{"settings connect protocol 2", [][]byte{AppendSettings(nil, Setting{SettingEnableConnectProtocol, 2})}, "error: connection error: settings value (PROTOCOL_ERROR)"},
	{"settings window too large", [][]byte{AppendSettings(nil, Setting{SettingInitialWindowSize, 1 << 31})}, "error: connection error: settings value (FLOW_CONTROL_ERROR)"},
	{"settings frame too small", [][]byte{AppendSettings(nil, Setting{SettingMaxFrameSize, MinMaxFrame - 1})}, "error: connection error: settings value (PROTOCOL_ERROR)"},
	{"settings frame too large", [][]byte{AppendSettings(nil, Setting{SettingMaxFrameSize, MaxMaxFrame + 1})}, "error: connection error: settings value (PROTOCOL_ERROR)"},
	{"settings too many", [][]byte{AppendSettings(nil, make([]Setting, 65)...)}, "error: connection error: settings value (ENHANCE_YOUR_CALM)"},

	{"push promise", [][]byte{frame(FramePushPromise, 4, 1, "\x00\x00\x00\x02")}, "error: connection error: push promise (PROTOCOL_ERROR)"},

	{"ping", [][]byte{AppendPing(nil, false, [8]byte{1}), AppendPing(nil, true, [8]byte{2})}, "ping 0100000000000000\nping ack 0200000000000000"},
	{"ping on a stream", [][]byte{frame(FramePing, 0, 1, "12345678")}, "error: connection error: stream id (PROTOCOL_ERROR)"},
	{"ping of a wrong size", [][]byte{frame(FramePing, 0, 0, "1234567")}, "error: connection error: frame size (FRAME_SIZE_ERROR)"},

	{"goaway", [][]byte{AppendGoAway(nil, 5, ErrCodeNo, "bye"), frame(FramePing, 0, 0, "12345678")}, "goaway 5 NO_ERROR \"bye\"\nping 3132333435363738"},
	{"goaway with long debug", [][]byte{AppendGoAway(nil, 5, ErrCodeNo, strings.Repeat("x", 5000)), AppendSettingsAck(nil)}, "goaway 5 NO_ERROR \"" + strings.Repeat("x", maxDebug) + "\"\nsettings ack"},
	{"goaway on a stream", [][]byte{frame(FrameGoAway, 0, 1, "12345678")}, "error: connection error: stream id (PROTOCOL_ERROR)"},
	{"goaway of a wrong size", [][]byte{frame(FrameGoAway, 0, 0, "1234567")}, "error: connection error: frame size (FRAME_SIZE_ERROR)"},

	{"window update", [][]byte{AppendWindowUpdate(nil, 0, 1), AppendWindowUpdate(nil, 9, MaxWindow)}, "window 0 +1\nwindow 9 +2147483647"},
	{"window update of 0 on a stream", [][]byte{AppendWindowUpdate(nil, 9, 1<<31), AppendWindowUpdate(nil, 9, 1)}, "error: stream 9: zero window increment (PROTOCOL_ERROR)\nwindow 9 +1"},
	{"window update of 0 on the connection", [][]byte{AppendWindowUpdate(nil, 0, 0)}, "error: connection error: zero window increment (PROTOCOL_ERROR)"},
	{"window update of a wrong size", [][]byte{frame(FrameWindowUpdate, 0, 0, "12345")}, "error: connection error: frame size (FRAME_SIZE_ERROR)"},

	{"unknown", [][]byte{frame(0x10, 0xff, 0, strings.Repeat("x", MinMaxFrame)), frame(0xff, 0, 4, "")}, "unknown 0\nunknown 4"},
}

func caseReader(t testing.TB) *Reader {
	r := NewReader(Limits{MaxHeaderBytes: 200, MaxFields: 4, MaxContinuations: 3})
	readOne(t, r, AppendSettings(nil), EventSettings)
	return r
}

func TestReader(t *testing.T) {
	for _, c := range readerCases {
		t.Run(c.name, func(t *testing.T) {
			input := bytes.Join(c.frames, nil)
			for name, chunk := range map[string]func() int{
				"whole":        whole,
				"byte by byte": func() int { return 1 },
				"by seven":     func() int { return 7 },
			} {
				got := strings.Join(feed(t, caseReader(t), input, chunk), "\n")
				if got != c.want {
					t.Errorf("%s: got\n%s\nwant\n%s", name, got, c.want)
				}
			}
		})
	}
}

func TestReaderFirstFrame(t *testing.T) {
	want := "http2: connection error: first frame is not SETTINGS (PROTOCOL_ERROR)"
	for name, b := range map[string][]byte{
		"ping": AppendPing(nil, false, [8]byte{}),
		"ack":  AppendSettingsAck(nil),
		"http": []byte("HTTP/1.1 400 Bad Request\r\n"),
	} {
		r := NewReader(Limits{})
		for range 2 { // the second time it is dead
			if ev, n, err := r.Next(b); err == nil || err.Error() != want || n != 0 || ev.Type != EventNone {
				t.Errorf("%s: %v, %d, %v", name, ev.Type, n, err)
			}
		}
	}
}

// TestReaderLargeFrames: frames of all sizes that the limits allow need no
// larger buffer than MinBuffer.
func TestReaderLargeFrames(t *testing.T) {
	r := NewReader(Limits{MaxFrame: 1 << 20, MaxHeaderBytes: 1 << 20})
	value := strings.Repeat("v", 100_000)
	var in []byte
	in = AppendSettings(in)
	e := NewEncoder(DefaultTableSize)
	in = AppendHeaders(in, 1, e.Append(nil, "x", value, false), false, 1<<20)
	in = AppendHeaders(in, 3, e.Append(nil, "y", value, false), false, MinMaxFrame)
	in = AppendData(in, 1, []byte(value), true)
	got := feed(t, r, in, func() int { return 100 })
	want := []string{
		"settings", "headers 1 x: " + value + "; ", "headers 3 y: " + value + "; ",
		fmt.Sprintf("data 1 end flow=100000 %q", value),
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%d events, %d wanted", len(got), len(want))
	}
	if r.block != nil {
		t.Errorf("%d bytes are kept", cap(r.block))
	}
}
