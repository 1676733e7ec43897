package http2

import (
	"fmt"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/net/http2/hpack"
	"pgregory.net/rapid"
)

// pair is an Encoder with two decoders that must stay in step with it: ours
// and golang.org/x/net's.
type pair struct {
	enc    *Encoder
	own    *Decoder
	theirs *hpack.Decoder
}

func newPair(tableSize uint32) *pair {
	p := &pair{
		enc:    NewEncoder(tableSize),
		own:    NewDecoder(maxInt),
		theirs: hpack.NewDecoder(DefaultTableSize, nil),
	}
	p.theirs.SetAllowedMaxDynamicTableSize(maxInt)
	return p
}

func (p *pair) resize(n uint32) {
	p.enc.SetMaxTableSize(n)
	p.own.SetMaxTableSize(n)
}

type fatal interface {
	Helper()
	Fatalf(string, ...any)
}

// send encodes one block and decodes it twice.
func (p *pair) send(t fatal, fields []Field) []byte {
	t.Helper()
	var block []byte
	var want []Field
	for _, f := range fields {
		block = p.enc.Append(block, f.Name, f.Value, f.NeverIndex)
		f.Name = string(appendLower(nil, f.Name))
		want = append(want, f)
	}
	own, err := p.own.Decode(block, nil, 1<<20)
	if err != nil || text(own) != text(want) {
		t.Fatalf("block % x decodes to %v\n%swant\n%s", block, err, text(own), text(want))
	}
	theirs, err := p.theirs.DecodeFull(block)
	if err != nil || text(fromTheirs(theirs)) != text(want) {
		t.Fatalf("block % x decodes elsewhere to %v\n%vwant\n%s", block, err, theirs, text(want))
	}
	if got, want := p.enc.table(), p.own.table(); len(block) > 0 && got != want {
		t.Fatalf("encoder's table\n%sdecoder's table\n%s", got, want)
	}
	return block
}

// table renders an encoder's dynamic table, newest first.
func (e *Encoder) table() string {
	var b strings.Builder
	for i := range uint64(e.count) {
		f := e.at(e.head - i)
		fmt.Fprintf(&b, "%s: %s\n", f.name, f.value)
	}
	return b.String()
}

func fromTheirs(fields []hpack.HeaderField) []Field {
	var out []Field
	for _, f := range fields {
		out = append(out, Field{Name: f.Name, Value: f.Value, NeverIndex: f.Sensitive})
	}
	return out
}

func TestEncoderPolicy(t *testing.T) {
	p := newPair(DefaultTableSize)
	status := Field{Name: ":Status", Value: "200"}
	trace := Field{Name: "TraceParent", Value: "00-1"}
	secret := Field{Name: "Authorization", Value: "x", NeverIndex: true}
	huge := Field{Name: "huge", Value: strings.Repeat("x", DefaultTableSize/2)}
	for i, step := range []struct {
		field Field
		len   int
		count int // entries afterwards
	}{
		{status, 1, 0},
		{trace, 1 + 1 + 11 + 1 + 4, 0},
		{trace, 1 + 1 + 11 + 1 + 4, 1}, // seen: into the table
		{trace, 1, 1},
		{Field{Name: "traceparent", Value: "00-2"}, 2 + 1 + 4, 1}, // name from the table
		{Field{Name: "date", Value: "now"}, 2 + 1 + 3, 1},         // name 33 takes two bytes
		{secret, 2 + 1 + 1, 1},
		{secret, 2 + 1 + 1, 1}, // never
		{huge, 1 + 1 + 4 + 3 + 2048, 1},
		{huge, 1 + 1 + 4 + 3 + 2048, 1}, // too large to be worth it
	} {
		block := p.send(t, []Field{step.field})
		if len(block) != step.len || p.enc.count != step.count {
			t.Errorf("step %d: %s: %d bytes, %d entries; want %d, %d",
				i, step.field.Name, len(block), p.enc.count, step.len, step.count)
		}
	}
}

// TestEncoderKeepsNothing: the strings may be views of a buffer that is used again.
func TestEncoderKeepsNothing(t *testing.T) {
	p := newPair(DefaultTableSize)
	buf := []byte("x-name: some value")
	view := []Field{{Name: unsafe.String(&buf[0], 6), Value: unsafe.String(&buf[8], 10)}}
	p.send(t, view)
	p.send(t, view)
	copy(buf, "????????????????????")
	want := "x-name: some value\n"
	if got := p.enc.table(); got != want {
		t.Errorf("table is %q, want %q", got, want)
	}
	if b := p.enc.Append(nil, "X-Name", "some value", false); len(b) != 1 {
		t.Errorf("not found again: % x", b)
	}
}

// TestEncoderThrash: unique values between do not push out what repeats.
func TestEncoderThrash(t *testing.T) {
	p := newPair(DefaultTableSize)
	same := Field{Name: "user-agent", Value: "a client of some kind/1.0"}
	for i := range 1000 {
		block := p.send(t, []Field{same, {Name: ":path", Value: fmt.Sprintf("/item/%d", i)}})
		if i > 2 && block[0] < 0x80 {
			t.Fatalf("round %d: the repeated field is not indexed", i)
		}
	}
}

func TestEncoderSizeUpdates(t *testing.T) {
	for name, c := range map[string]struct {
		limit uint32
		sizes []uint32
		want  string // the bytes before the field
	}{
		"none":           {4096, nil, ""},
		"same":           {4096, []uint32{4096}, ""},
		"own limit":      {1024, nil, "3fe107"},
		"to nothing":     {4096, []uint32{0}, "20"},
		"larger":         {8192, []uint32{8192}, "3fe13f"},
		"larger, capped": {4096, []uint32{8192}, ""},
		"down and up":    {4096, []uint32{0, 4096}, "203fe11f"},
		"down and less":  {4096, []uint32{100, 1000}, "203fc907"},
		"down twice":     {4096, []uint32{1000, 100}, "3f45"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(c.limit)
			for _, n := range c.sizes {
				p.resize(n)
			}
			got := fmt.Sprintf("%x", p.send(t, []Field{{Name: ":method", Value: "GET"}}))
			if got != c.want+"82" {
				t.Errorf("got %s, want %s82", got, c.want)
			}
		})
	}
}

// TestEncoderRoundTrip: whatever is sent, with tables of all sizes that change,
// both decoders read the same and the tables stay equal.
func TestEncoderRoundTrip(t *testing.T) {
	names := rapid.OneOf(
		rapid.SampledFrom([]string{
			":path", ":Status", "Host", "cookie", "x-a", "X-A", "X-Request-Id", "grpc-timeout", "aaaaaaaa", "",
		}),
		rapid.StringMatching(`[A-Za-z0-9:_-]{1,20}`),
		rapid.String(),
	)
	values := rapid.OneOf(
		rapid.SampledFrom([]string{"", "200", "GET", "/", "a", "b", "c", strings.Repeat("long ", 40)}),
		rapid.StringN(0, 40, -1),
	)
	field := rapid.Custom(func(t *rapid.T) Field {
		return Field{
			Name:       names.Draw(t, "name"),
			Value:      values.Draw(t, "value"),
			NeverIndex: rapid.IntRange(0, 9).Draw(t, "never") == 0,
		}
	})
	size := rapid.OneOf(rapid.Uint32Range(0, 400), rapid.SampledFrom([]uint32{4096, 1 << 16, 1 << 31}))
	rapid.Check(t, func(t *rapid.T) {
		p := newPair(size.Draw(t, "limit"))
		for range rapid.IntRange(1, 40).Draw(t, "blocks") {
			for range rapid.IntRange(0, 2).Draw(t, "resizes") {
				p.resize(size.Draw(t, "size"))
			}
			block := rapid.SliceOfN(field, 0, 12).Draw(t, "fields")
			p.send(t, block)
			if p.enc.size > p.enc.max {
				t.Fatalf("table of %d bytes, allowed are %d", p.enc.size, p.enc.max)
			}
		}
	})
}

// TestDecoderFromTheirs is the other way round: their encoder, with Huffman
// and its own policy, to our decoder.
func TestDecoderFromTheirs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var out strings.Builder
		enc := hpack.NewEncoder(&out)
		enc.SetMaxDynamicTableSizeLimit(1 << 16)
		d := NewDecoder(1 << 16)
		for range rapid.IntRange(1, 20).Draw(t, "blocks") {
			if rapid.Bool().Draw(t, "resize") {
				enc.SetMaxDynamicTableSize(rapid.Uint32Range(0, 5000).Draw(t, "size"))
			}
			out.Reset()
			var want []Field
			for range rapid.IntRange(0, 10).Draw(t, "fields") {
				f := Field{
					Name:       rapid.StringMatching(`[a-d]{1,3}`).Draw(t, "name"),
					Value:      rapid.StringN(0, 60, -1).Draw(t, "value"),
					NeverIndex: rapid.IntRange(0, 9).Draw(t, "never") == 0,
				}
				want = append(want, f)
				enc.WriteField(hpack.HeaderField{Name: f.Name, Value: f.Value, Sensitive: f.NeverIndex})
			}
			got, err := d.Decode([]byte(out.String()), nil, 1<<20)
			if err != nil || text(got) != text(want) {
				t.Fatalf("%x: %v\n%swant\n%s", out.String(), err, text(got), text(want))
			}
		}
	})
}
