package http2

import (
	"errors"
	"testing"

	"golang.org/x/net/http2/hpack"
)

// FuzzDecoder decodes random blocks here and with golang.org/x/net: both take
// the same and read the same, until the first error.
//
// There are two differences on purpose (RFC 7541, section 4.2). A size update
// behind a field is an error here always, there only while the table holds
// something. A second update at the start of a block is right: the smallest size
// in between comes first. There it is an error while the table holds something.
func FuzzDecoder(f *testing.F) {
	for _, blocks := range rfcCases {
		var seed []byte
		for _, b := range blocks {
			seed = appendBlock(seed, unhex(new(testing.T), b.block))
		}
		f.Add(seed)
	}
	f.Add(appendBlock(nil, []byte{0x20, 0x3f, 0xe1, 0x1f, 0x82}))
	f.Add(appendBlock(nil, []byte{0x82, 0x20}))
	f.Add(appendBlock(appendBlock(nil, []byte{0x41, 0x01, 0x61}), []byte{0x3f, 0x3f, 0x3f, 0x3f})) // two, with a full table
	f.Fuzz(func(t *testing.T, data []byte) {
		own, theirs := NewDecoder(DefaultTableSize), hpack.NewDecoder(DefaultTableSize, nil)
		for len(data) > 0 {
			n := min(int(data[0]), len(data)-1)
			block := data[1 : 1+n]
			data = data[1+n:]

			got, err := own.Decode(block, nil, 1<<20)
			want, theirErr := theirs.DecodeFull(block)
			if err != nil && theirErr == nil && lateUpdate(block) {
				return
			}
			if err == nil && theirErr != nil && updates(block) > 1 {
				return
			}
			if (err == nil) != (theirErr == nil) {
				t.Fatalf("% x: we say %v, they say %v", block, err, theirErr)
			}
			if err != nil {
				var e *Error
				if !errors.As(err, &e) || e.Kind != KindCompression {
					t.Fatalf("% x: unexpected error %v", block, err)
				}
				return
			}
			if text(got) != text(fromTheirs(want)) {
				t.Fatalf("% x:\n%swant\n%s", block, text(got), text(fromTheirs(want)))
			}
			if own.size > own.max {
				t.Fatalf("table of %d bytes, allowed are %d", own.size, own.max)
			}
		}
	})
}

func appendBlock(dst, block []byte) []byte {
	return append(append(dst, byte(len(block))), block...)
}

// updates counts the size updates at the start of block.
func updates(p []byte) (count int) {
	for ; len(p) > 0 && p[0]&0xe0 == 0x20; count++ {
		_, n := readInt(p, 5)
		if n == 0 {
			return count // broken off
		}
		p = p[n:]
	}
	return count
}

// lateUpdate reports whether a size update stands behind a field in block,
// walking over it without a table.
func lateUpdate(p []byte) bool {
	for field := false; len(p) > 0; {
		c := p[0]
		if c&0xe0 == 0x20 {
			if field {
				return true
			}
			_, n := readInt(p, 5)
			p = p[n:]
			continue
		}
		field = true
		bits, texts := uint8(4), 1
		switch {
		case c >= 0x80:
			bits, texts = 7, 0
		case c >= 0x40:
			bits = 6
		}
		i, n := readInt(p, bits)
		if p = p[n:]; i == 0 && texts > 0 {
			texts = 2
		}
		for range texts {
			n, m := readInt(p, 7)
			p = p[n+m:]
		}
	}
	return false
}

// FuzzEncoder sends fields cut out of random bytes: both decoders must read
// what was given.
func FuzzEncoder(f *testing.F) {
	f.Add([]byte("\x00\x05\x05hostx\x05\x01x-abcd\x05\x01x-abcd\x05\x01x-abcd"))
	f.Add([]byte("\xfe\x10\xfd\x20\x03\x03abcdef\xff\x03\x03abcdef"))
	f.Fuzz(func(t *testing.T, data []byte) {
		p := newPair(1 << 16)
		var fields []Field
		for len(data) >= 2 {
			a, b := data[0], data[1]
			data = data[2:]
			switch a {
			case 0xff:
				p.send(t, fields)
				fields = nil
				continue
			case 0xfe:
				p.send(t, fields)
				fields = nil
				p.resize(uint32(b) * 16)
				continue
			}
			name := data[:min(int(a&0x3f), len(data))]
			data = data[len(name):]
			value := data[:min(int(b), len(data))]
			data = data[len(value):]
			fields = append(fields, Field{Name: string(name), Value: string(value), NeverIndex: a&0x40 != 0})
		}
		p.send(t, fields)
	})
}
