package http2

import "testing"

// eight are the fields of a request between two proxies, as HTTP/1 wrote them.
var eight = []Field{
	{Name: ":method", Value: "GET"},
	{Name: ":scheme", Value: "http"},
	{Name: ":authority", Value: "books.shop.svc.cluster.local:7000"},
	{Name: ":path", Value: "/books/12"},
	{Name: "User-Agent", Value: "Go-http-client/1.1"},
	{Name: "Accept-Encoding", Value: "gzip"},
	{Name: "X-Request-Id", Value: "a7a2cd3e-ae3f-4c91"},
	{Name: "Content-Type", Value: "application/grpc"},
}

// encodeAll is what a link does for each request.
func encodeAll(e *Encoder, dst []byte, fields []Field) []byte {
	mark := len(dst)
	dst = StartHeaders(dst)
	for i := range fields {
		dst = e.Append(dst, fields[i].Name, fields[i].Value, fields[i].NeverIndex)
	}
	return FinishHeaders(dst, mark, 1, true, MinMaxFrame)
}

// readOne takes one event out of b.
func readOne(tb testing.TB, r *Reader, b []byte, want EventType) Event {
	ev, n, err := r.Next(b)
	if err != nil || n != len(b) || ev.Type != want {
		tb.Fatalf("Next gives %v, %d of %d bytes, %v", ev.Type, n, len(b), err)
	}
	return ev
}

// started is a Reader that has its first SETTINGS behind it.
func started(tb testing.TB) *Reader {
	r := NewReader(Limits{})
	readOne(tb, r, AppendSettings(nil), EventSettings)
	return r
}

// warm gives a Reader and an Encoder that have seen fields, and the frame in
// which all of them are indexed.
func warm(tb testing.TB, fields []Field) (*Reader, *Encoder, []byte) {
	r, e := started(tb), NewEncoder(DefaultTableSize)
	var frame []byte
	for range 3 {
		frame = encodeAll(e, frame[:0], fields)
		readOne(tb, r, frame, EventHeaders)
	}
	if len(frame) != FrameHeaderLen+len(fields) {
		tb.Fatalf("not all fields are indexed: % x", frame)
	}
	return r, e, frame
}

func BenchmarkReadHeadersIndexed(b *testing.B) {
	r, _, frame := warm(b, eight)
	b.ReportAllocs()
	for b.Loop() {
		if _, n, err := r.Next(frame); n != len(frame) || err != nil {
			b.Fatal(n, err)
		}
	}
}

func BenchmarkReadHeadersIndexedValidated(b *testing.B) {
	r, _, frame := warm(b, eight)
	b.ReportAllocs()
	for b.Loop() {
		ev := readOne(b, r, frame, EventHeaders)
		if err := ValidateRequest(ev.Fields); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadHeadersLiteral(b *testing.B) {
	r, e := started(b), NewEncoder(0)
	frame := encodeAll(e, nil, eight)
	readOne(b, r, frame, EventHeaders)
	frame = encodeAll(e, frame[:0], eight)
	b.ReportAllocs()
	for b.Loop() {
		readOne(b, r, frame, EventHeaders)
	}
}

func BenchmarkWriteHeadersIndexed(b *testing.B) {
	_, e, frame := warm(b, eight)
	b.ReportAllocs()
	for b.Loop() {
		frame = encodeAll(e, frame[:0], eight)
	}
}

func BenchmarkWriteHeadersLiteral(b *testing.B) {
	e := NewEncoder(0)
	frame := encodeAll(e, nil, eight)
	b.ReportAllocs()
	for b.Loop() {
		frame = encodeAll(e, frame[:0], eight)
	}
}

func BenchmarkReadData(b *testing.B) {
	r := started(b)
	frame := AppendData(nil, 1, make([]byte, 4096), false)
	b.ReportAllocs()
	for b.Loop() {
		if _, n, err := r.Next(frame); n != len(frame) || err != nil {
			b.Fatal(n, err)
		}
	}
}

// TestAllocations holds the budgets: nothing per request once it was seen.
func TestAllocations(t *testing.T) {
	r, e, frame := warm(t, eight)
	literal := encodeAll(NewEncoder(0), nil, eight)
	literalReader := started(t)
	data := AppendData(nil, 1, make([]byte, 100), false)
	settings := AppendSettings(nil, Setting{SettingInitialWindowSize, 1 << 20})
	big := append([]byte{}, frame...)
	for name, f := range map[string]func(){
		"read indexed": func() { readOne(t, r, frame, EventHeaders) },
		"validate": func() {
			if err := ValidateRequest(readOne(t, r, frame, EventHeaders).Fields); err != nil {
				t.Error(err)
			}
		},
		"read in two pieces": func() {
			if _, n, err := r.Next(frame[:12]); n != 12 || err != nil {
				t.Error(n, err)
			}
			readOne(t, r, frame[12:], EventHeaders)
		},
		"write indexed":         func() { big = encodeAll(e, big[:0], eight) },
		"read literals again":   func() { readOne(t, literalReader, literal, EventHeaders) },
		"read data":             func() { readOne(t, r, data, EventData) },
		"read settings":         func() { readOne(t, r, settings, EventSettings) },
		"write control":         func() { big = AppendWindowUpdate(AppendPing(big[:0], true, [8]byte{}), 1, 2) },
		"write data":            func() { big = AppendData(big[:0], 1, data, true) },
		"sensitive, still free": func() { big = e.Append(big[:0], "authorization", "x", true) },
	} {
		f() // buffers grow once
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
