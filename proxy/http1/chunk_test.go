package http1

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// unchunk decodes in, given step bytes at a time, the way a proxy does: what
// was taken goes, what was not stays in the buffer. It tells what came out.
func unchunk(c *Chunks, in string, step int) string {
	var body strings.Builder
	var buf []byte
	for rest := in; ; {
		data, n, err := c.Next(buf)
		if err != nil {
			return fmt.Sprintf("%q %s", body.String(), err.Error()[len("http/1: "):])
		}
		body.Write(data)
		if c.Done() {
			left := len(buf) - n + len(rest)
			return fmt.Sprintf("%q done, %d left%s", body.String(), left, describeFields(c.Trailers()))
		}
		// A new buffer each time: nothing may point into the old one.
		buf = append([]byte(nil), buf[n:]...)
		if n > 0 {
			continue
		}
		if rest == "" {
			return fmt.Sprintf("%q more", body.String())
		}
		step := min(step, len(rest))
		buf, rest = append(buf, rest[:step]...), rest[step:]
	}
}

func TestChunks(t *testing.T) {
	for _, tc := range []struct{ name, in, want string }{
		{"two chunks", "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\nGET", `"hello!" done, 3 left`},
		{"nothing", "0\r\n\r\n", `"" done, 0 left`},
		{"zeros", "05\r\nhello\r\n000\r\n\r\n", `"hello" done, 0 left`},
		{"hexadecimal", "A\r\n0123456789\r\nb\r\n0123456789a\r\n0\r\n\r\n", `"01234567890123456789a" done, 0 left`},
		{"extensions", "1;a=b;c=\"d\"\r\nx\r\n0; last\r\n\r\n", `"x" done, 0 left`},
		{"data of line ends", "4\r\n\r\n\r\n\r\n0\r\n\r\n", `"\r\n\r\n" done, 0 left`},
		{"trailers", "0\r\nA: b\r\nleno-x:  c \r\n\r\nrest", `"" done, 4 left|A=b|leno-x=c`},
		{"incomplete size", "5", `"" more`},
		{"incomplete data", "5\r\nhel", `"hel" more`},
		{"incomplete end", "1\r\nx\r", `"x" more`},
		{"incomplete trailers", "0\r\nA: b\r\n", `"" more`},

		{"empty size", "\r\n", `"" bare-cr`},
		{"no size", ";a\r\n", `"" bad-chunk-size`},
		{"signed size", "+5\r\nhello\r\n", `"" bad-chunk-size`},
		{"prefixed size", "0x5\r\nhello\r\n", `"" bad-chunk-size`},
		{"space before the size", " 5\r\nhello\r\n", `"" bad-chunk-size`},
		{"space behind the size", "5 \r\nhello\r\n", `"" bad-chunk-size`},
		{"size overflows", "8000000000000000\r\n", `"" bad-chunk-size`},
		{"size of 17 digits", "00000000000000001\r\n", `"" bad-chunk-size`},
		{"largest size", "7fffffffffffffff\r\nabc", `"abc" more`},
		{"bare LF behind the size", "5\nhello\r\n", `"" bare-lf`},
		{"bare CR in an extension", "5;a\rb\r\nhello\r\n", `"" bare-cr`},
		{"NUL in an extension", "5;\x00\r\nhello\r\n", `"" bad-chunk-extension`},
		{"long extension", "5;" + strings.Repeat("a", DefaultChunkLine), `"" bad-chunk-extension`},
		{"data too long", "1\r\nxy\r\n", `"x" bad-chunk-end`},
		{"bare LF behind the data", "1\r\nx\n0\r\n\r\n", `"x" bad-chunk-end`},
		{"CR without LF behind the data", "1\r\nx\r0\r\n\r\n", `"x" bad-chunk-end`},
		{"length as a trailer", "0\r\nContent-Length: 1\r\n\r\n", `"" bad-trailer`},
		{"coding as a trailer", "0\r\nTransfer-Encoding: chunked\r\n\r\n", `"" bad-trailer`},
		{"host as a trailer", "0\r\nHost: h\r\n\r\n", `"" bad-trailer`},
		{"folded trailer", "0\r\nA: b\r\n c\r\n\r\n", `"" obs-fold`},
		{"folded first trailer", "0\r\n A: b\r\n\r\n", `"" obs-fold`},
		{"bare LF in trailers", "0\r\nA: b\n\r\n", `"" bare-lf`},
		{"bare LF at the end", "0\r\n\n", `"" bare-lf`},
		{"too many trailers", "0\r\n" + strings.Repeat("A:\r\n", DefaultTrailers+1), `"" too-many-fields`},
		{"large trailers", "0\r\n" + strings.Repeat("A: "+strings.Repeat("x", 1019)+"\r\n", 16) + "\r\n", `"" header-too-large`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var c Chunks
			for _, step := range []int{len(tc.in), 1, 2, 3, 5} {
				c.Reset()
				if diff := cmp.Diff(tc.want, unchunk(&c, tc.in, step)); diff != "" {
					t.Errorf("%d bytes at a time: %s", step, diff)
				}
			}
		})
	}
}

// TestChunkLimits has other bounds than the defaults hold, at their ends.
func TestChunkLimits(t *testing.T) {
	limits := &Limits{ChunkLine: 64, TrailerBytes: 256, Trailers: 4}
	line := func(n int) string { return "1;" + strings.Repeat("a", n-4) + "\r\n" }
	for _, tc := range []struct{ name, in, want string }{
		{"line", line(64) + "x\r\n", `"x" more`},
		{"long line", line(65) + "x\r\n", `"" bad-chunk-extension`},
		{"extensions", strings.Repeat(line(64)+"x\r\n", 17), `"` + strings.Repeat("x", 17) + `" more`},
		{"long extensions", strings.Repeat(line(64)+"x\r\n", 18), `"` + strings.Repeat("x", 17) + `" bad-chunk-extension`},
		{"fields", "0\r\n" + strings.Repeat("A: b\r\n", 4) + "\r\n", `"" done, 0 left|A=b|A=b|A=b|A=b`},
		{"too many fields", "0\r\n" + strings.Repeat("A: b\r\n", 5) + "\r\n", `"" too-many-fields`},
		{"bytes", "0\r\nA:" + strings.Repeat("b", 250) + "\r\n\r\n", `"" done, 0 left|A=` + strings.Repeat("b", 250)},
		{"too many bytes", "0\r\nA:" + strings.Repeat("b", 251) + "\r\n\r\n", `"" header-too-large`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := Chunks{Limits: limits}
			for _, step := range []int{len(tc.in), 1, 7} {
				c.Reset()
				if diff := cmp.Diff(tc.want, unchunk(&c, tc.in, step)); diff != "" {
					t.Errorf("%d bytes at a time: %s", step, diff)
				}
			}
		})
	}
}

// TestExtensionsBounded holds that extensions may grow with the data, as
// signatures of chunks do, but not without it.
func TestExtensionsBounded(t *testing.T) {
	signed := strings.Repeat("80;s="+strings.Repeat("f", 64)+"\r\n"+strings.Repeat("x", 128)+"\r\n", 1000)
	var c Chunks
	if got := unchunk(&c, signed+"0\r\n\r\n", 4096); !strings.HasSuffix(got, `" done, 0 left`) {
		t.Errorf("with data: got ...%q", got[len(got)-40:])
	}
	c.Reset()
	padded := strings.Repeat("1;s="+strings.Repeat("f", 64)+"\r\nx\r\n", 1000)
	if got := unchunk(&c, padded, 4096); !strings.HasSuffix(got, " bad-chunk-extension") {
		t.Errorf("without data: got ...%q", got[len(got)-40:])
	}
}

// TestChunksReady says after each byte whether a reader has to wait for more.
func TestChunksReady(t *testing.T) {
	const in = "2;x\r\nhi\r\n10\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\n"
	const want = "wwwwwrrwwwwwwrrrrrrrrrrrrrrrrwwwwwwwwwwwwr"
	var c Chunks
	var buf []byte
	got := ""
	for i := range len(in) {
		buf = append(buf, in[i])
		buf = buf[c.Skip(buf):]
		if !c.Ready(buf) {
			got += "w"
			continue
		}
		got += "r"
		_, n, err := c.Next(buf)
		if err != nil {
			t.Fatal(err)
		}
		buf = buf[n:]
	}
	if got != want || !c.Done() {
		t.Errorf("got %s\nwant %s, done %v", got, want, c.Done())
	}
}
