package http1

import (
	"bytes"
	"testing"
)

// TestBadText puts every byte at every place of values around eight bytes, and
// behind bytes that send the check its slow way.
func TestBadText(t *testing.T) {
	for _, fill := range []byte{'x', '\t', ' ', 0xff, 0x80, '~'} {
		for size := 1; size <= 17; size++ {
			v := bytes.Repeat([]byte{fill}, size)
			for at := range v {
				for c := range 256 {
					v[at] = byte(c)
					want := at
					if c == '\t' || c >= ' ' && c != 0x7f {
						want = -1
					}
					if got := badText(v); got != want {
						t.Fatalf("%q: got %d, want %d", v, got, want)
					}
				}
				v[at] = fill
			}
		}
	}
}
