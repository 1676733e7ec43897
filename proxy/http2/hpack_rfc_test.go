package http2

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/net/http2/hpack"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// text renders fields one a line; "!" marks a never-indexed one.
func text(fields []Field) string {
	var b strings.Builder
	for _, f := range fields {
		mark := ""
		if f.NeverIndex {
			mark = "!"
		}
		fmt.Fprintf(&b, "%s%s: %s\n", mark, f.Name, f.Value)
	}
	return b.String()
}

// table renders a decoder's dynamic table, newest first.
func (d *Decoder) table() string {
	var b strings.Builder
	for i := range d.count {
		f := d.lookup(staticLen + 1 + i)
		fmt.Fprintf(&b, "%s: %s\n", f.Name, f.Value)
	}
	return b.String()
}

type rfcBlock struct {
	block  string
	fields string
	table  string
	size   int
}

const (
	date21 = "Mon, 21 Oct 2013 20:13:21 GMT"
	date22 = "Mon, 21 Oct 2013 20:13:22 GMT"
	cookie = "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1"

	requestOne    = ":method: GET\n:scheme: http\n:path: /\n:authority: www.example.com\n"
	requestTwo    = requestOne + "cache-control: no-cache\n"
	requestThree  = ":method: GET\n:scheme: https\n:path: /index.html\n:authority: www.example.com\ncustom-key: custom-value\n"
	responseRest  = "cache-control: private\ndate: " + date21 + "\nlocation: https://www.example.com\n"
	responseTable = "location: https://www.example.com\ndate: " + date21 + "\ncache-control: private\n"
	responseThree = ":status: 200\ncache-control: private\ndate: " + date22 +
		"\nlocation: https://www.example.com\ncontent-encoding: gzip\nset-cookie: " + cookie + "\n"
	responseThreeTable = "set-cookie: " + cookie + "\ncontent-encoding: gzip\ndate: " + date22 + "\n"
)

// rfcCases are the examples of RFC 7541, appendix C. The responses of C.5 and
// C.6 have a table of 256 bytes, so their first block is led by a size update.
var rfcCases = map[string][]rfcBlock{
	"C.2.1": {{
		"400a 6375 7374 6f6d 2d6b 6579 0d63 7573 746f 6d2d 6865 6164 6572",
		"custom-key: custom-header\n", "custom-key: custom-header\n", 55,
	}},
	"C.2.2": {{"040c 2f73 616d 706c 652f 7061 7468", ":path: /sample/path\n", "", 0}},
	"C.2.3": {{"1008 7061 7373 776f 7264 0673 6563 7265 74", "!password: secret\n", "", 0}},
	"C.2.4": {{"82", ":method: GET\n", "", 0}},
	"C.3": {
		{"8286 8441 0f77 7777 2e65 7861 6d70 6c65 2e63 6f6d", requestOne, ":authority: www.example.com\n", 57},
		{"8286 84be 5808 6e6f 2d63 6163 6865", requestTwo, "cache-control: no-cache\n:authority: www.example.com\n", 110},
		{
			"8287 85bf 400a 6375 7374 6f6d 2d6b 6579 0c63 7573 746f 6d2d 7661 6c75 65", requestThree,
			"custom-key: custom-value\ncache-control: no-cache\n:authority: www.example.com\n", 164,
		},
	},
	"C.4": {
		{"8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff", requestOne, ":authority: www.example.com\n", 57},
		{"8286 84be 5886 a8eb 1064 9cbf", requestTwo, "cache-control: no-cache\n:authority: www.example.com\n", 110},
		{
			"8287 85bf 4088 25a8 49e9 5ba9 7d7f 8925 a849 e95b b8e8 b4bf", requestThree,
			"custom-key: custom-value\ncache-control: no-cache\n:authority: www.example.com\n", 164,
		},
	},
	"C.5": {
		{
			"3fe1 01 4803 3330 3258 0770 7269 7661 7465 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133" +
				"2032 303a 3133 3a32 3120 474d 546e 1768 7474 7073 3a2f 2f77 7777 2e65 7861 6d70 6c65 2e63 6f6d",
			":status: 302\n" + responseRest, responseTable + ":status: 302\n", 222,
		},
		{"4803 3330 37c1 c0bf", ":status: 307\n" + responseRest, ":status: 307\n" + responseTable, 222},
		{
			"88c1 611d 4d6f 6e2c 2032 3120 4f63 7420 3230 3133 2032 303a 3133 3a32 3220 474d 54c0 5a04" +
				"677a 6970 7738 666f 6f3d 4153 444a 4b48 514b 425a 584f 5157 454f 5049 5541 5851 5745 4f49" +
				"553b 206d 6178 2d61 6765 3d33 3630 303b 2076 6572 7369 6f6e 3d31",
			responseThree, responseThreeTable, 215,
		},
	},
	"C.6": {
		{
			"3fe1 01 4882 6402 5885 aec3 771a 4b61 96d0 7abe 9410 54d4 44a8 2005 9504 0b81 66e0 82a6" +
				"2d1b ff6e 919d 29ad 1718 63c7 8f0b 97c8 e9ae 82ae 43d3",
			":status: 302\n" + responseRest, responseTable + ":status: 302\n", 222,
		},
		{"4883 640e ffc1 c0bf", ":status: 307\n" + responseRest, ":status: 307\n" + responseTable, 222},
		{
			"88c1 6196 d07a be94 1054 d444 a820 0595 040b 8166 e084 a62d 1bff c05a 839b d9ab 77ad 94e7" +
				"821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f 9587 3160 65c0 03ed" +
				"4ee5 b106 3d50 07",
			responseThree, responseThreeTable, 215,
		},
	},
}

func TestDecoderRFC7541(t *testing.T) {
	for name, blocks := range rfcCases {
		t.Run(name, func(t *testing.T) {
			d := NewDecoder(DefaultTableSize)
			for i, b := range blocks {
				fields, err := d.Decode(unhex(t, b.block), nil, 1<<16)
				if err != nil {
					t.Fatalf("block %d: %v", i+1, err)
				}
				if got := text(fields); got != b.fields {
					t.Errorf("block %d: fields\n%swant\n%s", i+1, got, b.fields)
				}
				if got := d.table(); got != b.table || d.size != b.size {
					t.Errorf("block %d: table of %d bytes\n%swant %d bytes\n%s", i+1, d.size, got, b.size, b.table)
				}
			}
		})
	}
}

// TestIntegersRFC7541 is appendix C.1 and the bounds.
func TestIntegersRFC7541(t *testing.T) {
	for _, c := range []struct {
		hex  string
		bits uint8
		v, n int
	}{
		{"0a", 5, 10, 1},
		{"1f9a0a", 5, 1337, 3},
		{"2a", 8, 42, 1},
		{"7f", 7, 0, 0},
		{"7f80", 7, 0, 0},
		{"7f00", 7, 127, 2},
		{"7f80808000", 7, 127, 5},
		{"7f80ffff7f", 7, maxInt, 5},
		{"7f81ffff7f", 7, 0, 0},
		{"7f808080808080808000", 7, 127, 10},
		{"7f80808080808080808000", 7, 0, 0},
		{"7fffffffffffffffff7f", 7, 0, 0},
		{"7fffffffffffffffffff01", 7, 0, 0},
	} {
		if v, n := readInt(unhex(t, c.hex), c.bits); n != c.n || n > 0 && v != c.v {
			t.Errorf("readInt(%s, %d) = %d, %d; want %d, %d", c.hex, c.bits, v, n, c.v, c.n)
		}
	}
	for _, v := range []int{0, 14, 15, 16, 30, 127, 128, 254, 255, 256, 1337, 1 << 20, maxInt} {
		for bits := uint8(4); bits <= 7; bits++ {
			p := appendInt(nil, 0, bits, v)
			if got, n := readInt(p, bits); got != v || n != len(p) {
				t.Errorf("%d in %d bits: % x reads as %d, %d", v, bits, p, got, n)
			}
		}
	}
}

// TestStaticTable holds our copy against the other implementation's.
func TestStaticTable(t *testing.T) {
	for i := 1; i <= staticLen; i++ {
		want, err := hpack.NewDecoder(0, nil).DecodeFull([]byte{0x80 | byte(i)})
		if err != nil {
			t.Fatal(err)
		}
		f := &staticTable[i]
		if f.Name != want[0].Name || f.Value != want[0].Value {
			t.Errorf("entry %d is %s: %s, want %v", i, f.Name, f.Value, want[0])
		}
		first := findStatic(hashName(strings.ToUpper(f.Name)), strings.ToUpper(f.Name))
		if first == 0 || findStaticValue(first, f.Value) != i {
			t.Errorf("%s: %s is not found", f.Name, f.Value)
		}
	}
	if i := findStatic(hashName("x-none"), "x-none"); i != 0 {
		t.Errorf("x-none is found at %d", i)
	}
}

func TestDecoderRefuses(t *testing.T) {
	for name, block := range map[string]string{
		"index 0":                    "80",
		"index past the table":       "be",
		"large index":                "ffffffff7f",
		"name index past the table":  "7f00 00",
		"cut index":                  "ff",
		"no value":                   "04",
		"cut value":                  "0405 61",
		"no name":                    "40",
		"cut name":                   "4005 61",
		"huge length":                "047f ffff ffff 7f",
		"bad huffman padding":        "0481 00",
		"huffman EOS":                "0484 ffff ffff",
		"size above the setting":     "3fe2 1f",
		"size update after a field":  "82 20",
		"size update cut":            "3f",
		"name broken, value missing": "0081",
	} {
		t.Run(name, func(t *testing.T) {
			_, err := NewDecoder(DefaultTableSize).Decode(unhex(t, block), nil, 1<<16)
			want := Error{Code: ErrCodeCompression, Kind: KindCompression}
			if e, ok := err.(*Error); !ok || *e != want {
				t.Errorf("got %v, want %v", err, &want)
			}
		})
	}
}

// TestDecoderLimit: past the limit, fields are dropped but the table is kept.
func TestDecoderLimit(t *testing.T) {
	d := NewDecoder(DefaultTableSize)
	block := unhex(t, "82 400161 0162 86") // :method, a: b into the table, :scheme
	fields, err := d.Decode(block, nil, 42+34-1)
	if err != KindHeaderList || text(fields) != ":method: GET\n" {
		t.Errorf("got %v, %q", err, text(fields))
	}
	fields, err = d.Decode([]byte{0xbe}, nil, 34)
	if err != nil || text(fields) != "a: b\n" {
		t.Errorf("after it: %v, %q", err, text(fields))
	}
}

func TestDecoderMustUpdate(t *testing.T) {
	d := NewDecoder(DefaultTableSize)
	d.SetMaxTableSize(100)
	if _, err := d.Decode([]byte{0x82}, nil, 1<<16); err == nil {
		t.Error("a block without the update is taken")
	}
	d = NewDecoder(DefaultTableSize)
	d.SetMaxTableSize(100)
	if _, err := d.Decode(unhex(t, "3f45 82"), nil, 1<<16); err != nil {
		t.Errorf("an update to 100: %v", err)
	}
	if _, err := d.Decode(unhex(t, "3f46 82"), nil, 1<<16); err == nil {
		t.Error("an update to 101 is taken")
	}
}
