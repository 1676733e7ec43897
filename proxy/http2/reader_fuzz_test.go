package http2

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	xhttp2 "golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// oracle reads frames with golang.org/x/net's Framer and renders them as feed
// does. Where Leno decides otherwise on purpose, it follows Leno:
//
//   - PUSH_PROMISE always ends the connection;
//   - a PRIORITY of a wrong size is an error of its stream (RFC 9113, section
//     6.3), not of the connection;
//   - HEADERS with too much padding end the connection (section 6.2), since the
//     block is lost;
//   - a stream that depends on itself is refused (RFC 7540, section 5.3.1), by
//     HEADERS as an error of the stream and by PRIORITY as one of the connection;
//   - PRIORITY_UPDATE is an unknown frame;
//   - the values of settings are checked by the Reader, and counted;
//   - header blocks are bounded in bytes and frames;
//   - GOAWAY shows only the start of its debug bytes.
type oracle struct {
	input  *bytes.Reader
	framer *xhttp2.Framer
	dec    *hpack.Decoder
	limits Limits
	lines  []string

	stream uint32 // of the open header block
	end    bool
	block  []byte
	frames int
	loop   bool // the block's HEADERS depend on themselves
}

// outcome of a comparison: how the oracle's reading ended.
type outcome int

const (
	goOn      outcome = iota
	broken            // a connection error
	cutOff            // the input ended within a frame
	undecided         // known difference: compare no further
)

func newOracle(input []byte, limits Limits) *oracle {
	o := &oracle{input: bytes.NewReader(input), limits: limits.withDefaults()}
	o.framer = xhttp2.NewFramer(nil, o.input)
	o.framer.SetMaxReadFrameSize(uint32(o.limits.MaxFrame))
	o.dec = hpack.NewDecoder(DefaultTableSize, nil)
	return o
}

func (o *oracle) add(format string, args ...any) {
	o.lines = append(o.lines, fmt.Sprintf(format, args...))
}

func (o *oracle) run() outcome {
	for {
		if out := o.step(); out != goOn {
			return out
		}
	}
}

func (o *oracle) step() outcome {
	if o.input.Len() < FrameHeaderLen {
		return cutOff
	}
	fh, err := o.framer.ReadFrameHeader()
	if err != nil || fh.Type == xhttp2.FramePushPromise {
		return broken
	}
	if fh.Type == xhttp2.FrameHeaders || fh.Type == xhttp2.FrameContinuation {
		o.frames++
	}
	if o.input.Len() < int(fh.Length) {
		return cutOff
	}
	if fh.Type == xhttp2.FramePriorityUpdate {
		o.input.Seek(int64(fh.Length), 1)
		o.add("unknown %d", fh.StreamID)
		return goOn
	}
	f, err := o.framer.ReadFrameForHeader(fh)
	if err != nil {
		return o.refused(fh, err)
	}
	return o.frame(f)
}

func (o *oracle) refused(fh xhttp2.FrameHeader, err error) outcome {
	var stream xhttp2.StreamError
	if errors.As(err, &stream) && fh.Type != xhttp2.FrameHeaders {
		o.add("error: stream %d", stream.StreamID)
		return goOn
	}
	if fh.Type == xhttp2.FramePriority && fh.StreamID != 0 {
		o.add("error: stream %d", fh.StreamID)
		return goOn
	}
	return broken
}

func (o *oracle) frame(f xhttp2.Frame) outcome {
	ev := Event{Stream: f.Header().StreamID}
	switch f := f.(type) {
	case *xhttp2.DataFrame:
		ev.Type, ev.Data, ev.Flow, ev.EndStream = EventData, f.Data(), int(f.Length), f.StreamEnded()
	case *xhttp2.HeadersFrame:
		o.stream, o.end, o.block, o.frames = f.StreamID, f.StreamEnded(), nil, 0
		o.loop = f.HasPriority() && f.Priority.StreamDep == f.StreamID
		return o.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
	case *xhttp2.ContinuationFrame:
		return o.fragment(f.HeaderBlockFragment(), f.HeadersEnded())
	case *xhttp2.PriorityFrame:
		if f.StreamDep == f.StreamID {
			return broken
		}
		ev.Type = EventPriority
	case *xhttp2.RSTStreamFrame:
		ev.Type, ev.Code = EventReset, ErrCode(f.ErrCode)
	case *xhttp2.SettingsFrame:
		return o.settings(f)
	case *xhttp2.PingFrame:
		ev.Type, ev.Ack, ev.Ping = EventPing, f.IsAck(), f.Data
	case *xhttp2.GoAwayFrame:
		ev.Type, ev.LastStream, ev.Code = EventGoAway, f.LastStreamID, ErrCode(f.ErrCode)
		ev.Data = f.DebugData()[:min(maxDebug, len(f.DebugData()))]
	case *xhttp2.WindowUpdateFrame:
		ev.Type, ev.Increment = EventWindowUpdate, f.Increment
	default:
		ev.Type = EventUnknown
	}
	o.add("%s", ev.line())
	return goOn
}

func (o *oracle) settings(f *xhttp2.SettingsFrame) outcome {
	if f.NumSettings() > o.limits.MaxSettings {
		return broken
	}
	line := "settings"
	if f.IsAck() {
		line += " ack"
	}
	for i := range f.NumSettings() {
		s := f.Setting(i)
		if s.Valid() != nil {
			return broken
		}
		line += fmt.Sprintf(" %d=%d", s.ID, s.Val)
	}
	o.add("%s", line)
	return goOn
}

func (o *oracle) fragment(p []byte, end bool) outcome {
	o.block = append(o.block, p...)
	if len(o.block) > o.limits.MaxBlockBytes || o.frames > o.limits.MaxContinuations {
		return broken
	}
	if !end {
		return goOn
	}
	fields, err := o.dec.DecodeFull(o.block)
	if err != nil {
		return broken
	}
	if lateUpdate(o.block) {
		return undecided
	}
	ev := Event{Type: EventHeaders, Stream: o.stream, EndStream: o.end}
	left := o.limits.MaxHeaderBytes
	for i, f := range fromTheirs(fields) {
		if left -= f.size(); left < 0 || i >= o.limits.MaxFields {
			left = -1
			break
		}
		ev.Fields = append(ev.Fields, f)
	}
	o.add("%s", ev.line())
	if left < 0 || o.loop {
		o.add("error: stream %d", o.stream)
	}
	return goOn
}

// FuzzReader reads random frames whole, in random pieces, and with the other
// implementation: all three must agree.
func FuzzReader(f *testing.F) {
	for i, c := range readerCases {
		if input := bytes.Join(c.frames, nil); len(input) < 1000 {
			f.Add(input, uint64(i))
		}
	}
	f.Fuzz(func(t *testing.T, input []byte, seed uint64) {
		limits := Limits{MaxHeaderBytes: 200, MaxFields: 4, MaxContinuations: 3}
		whole := feed(t, caseReader(t), input, whole)
		rng := rand.New(rand.NewPCG(seed, 0))
		pieces := feed(t, caseReader(t), input, func() int { return 1 + rng.IntN(12) })
		if a, b := strings.Join(whole, "\n"), strings.Join(pieces, "\n"); a != b {
			t.Fatalf("whole:\n%s\nin pieces:\n%s", a, b)
		}

		got, dead := classes(whole)
		o := newOracle(input, limits)
		out := o.run()
		compare(t, got, o.lines, dead, out)
	})
}

// compare holds our lines against the oracle's.
func compare(t *testing.T, got, want []string, dead bool, out outcome) {
	t.Helper()
	a, b := strings.Join(got, "\n"), strings.Join(want, "\n")
	switch out {
	case broken:
		if !dead {
			t.Fatalf("taken:\n%s\nbut they refuse after:\n%s", a, b)
		}
	case undecided:
		a = strings.Join(got[:min(len(got), len(want))], "\n")
	case cutOff:
		// A frame that was not wholly there may have been judged, or shown in
		// part, by its header.
		if len(got) > len(want)+1 {
			t.Fatalf("got:\n%s\nwant:\n%s", a, b)
		}
		if !dead || len(got) > len(want) {
			a = strings.Join(got[:min(len(got), len(want))], "\n")
		}
	}
	if a != b {
		t.Fatalf("got:\n%s\nwant:\n%s", a, b)
	}
}

// classes reduces errors to the stream that they concern and takes the one of
// the connection off.
func classes(lines []string) (out []string, dead bool) {
	for _, l := range lines {
		if strings.HasPrefix(l, "error: connection") {
			return out, true
		}
		if strings.HasPrefix(l, "error: stream ") {
			l = l[:strings.LastIndexByte(l, ':')]
		}
		out = append(out, l)
	}
	return out, false
}

// FuzzValidate: what is taken is safe to write as HTTP/1, and what the tables
// remember makes no difference.
func FuzzValidate(f *testing.F) {
	f.Add(":method=GET|:scheme=http|:authority=a|:path=/|x=y")
	f.Add(":status=200|content-length=5")
	f.Add(":method=CONNECT|:authority=a:1|te=trailers")
	f.Fuzz(func(t *testing.T, s string) {
		fields := fieldsOf(s)
		request, response := ValidateRequest(fields), ValidateResponse(fields)
		if request == nil && response == nil {
			t.Fatal("both a request and a response")
		}
		if again := ValidateRequest(fields); again != request {
			t.Fatalf("first %v, then %v", request, again)
		}
		if request != nil && response != nil {
			return
		}
		for _, f := range fields {
			if strings.ContainsAny(f.Name+f.Value, "\r\n\x00") || strings.ToLower(f.Name) != f.Name ||
				f.Name == "" || f.Name == "transfer-encoding" {
				t.Fatalf("%q: %q is taken", f.Name, f.Value)
			}
			if strings.HasPrefix(f.Name, ":") && strings.ContainsAny(f.Value, " \t") {
				t.Fatalf("%q: %q is taken", f.Name, f.Value)
			}
		}
	})
}
