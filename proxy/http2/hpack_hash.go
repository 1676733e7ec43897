package http2

import "math/bits"

// Names are hashed and compared eight bytes at a time and without regard to
// ASCII case, so that an HTTP/1 name need not be copied to be found.

const (
	hashMul1 = 0x9e3779b97f4a7c15
	hashMul2 = 0xd6e8feb86659fd93
	lowBits  = 0x7f7f7f7f7f7f7f7f
	highBits = 0x8080808080808080
)

// lower8 lower-cases the ASCII letters among eight bytes.
func lower8(w uint64) uint64 {
	low := w & lowBits
	fromA := low + 0x3f3f3f3f3f3f3f3f  // high bit set from 'A' on
	afterZ := low + 0x2525252525252525 // high bit set after 'Z'
	upper := (fromA ^ afterZ) & ^w & highBits
	return w | upper>>2
}

// load8 reads s[i:i+8].
func load8(s string, i int) uint64 {
	s = s[i : i+8]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// load4 reads s[i:i+4].
func load4(s string, i int) uint64 {
	s = s[i : i+4]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24
}

// loadShort reads a string of less than eight bytes: different strings of one
// length give different words.
func loadShort(s string) uint64 {
	switch n := len(s); {
	case n >= 4:
		return load4(s, 0) | load4(s, n-4)<<32
	case n > 0:
		return uint64(s[0]) | uint64(s[n/2])<<8 | uint64(s[n-1])<<16
	}
	return 0
}

// hashName hashes a name; upper and lower case give the same. Strings that
// collide can be made at will; the chains it leads to are bounded by the table.
func hashName(s string) uint64 {
	h := uint64(len(s)) * hashMul1
	if len(s) < 8 {
		return mix(h ^ lower8(loadShort(s)))
	}
	for i := 0; i+8 < len(s); i += 8 {
		h = mix(h ^ lower8(load8(s, i)))
	}
	return mix(h ^ lower8(load8(s, len(s)-8)))
}

func mix(h uint64) uint64 {
	hi, lo := bits.Mul64(h^hashMul2, hashMul1)
	return hi ^ lo
}

// equalLower reports whether s in lower case is low, which is so already.
func equalLower(low, s string) bool {
	if len(low) != len(s) {
		return false
	}
	if len(s) < 8 {
		return lower8(loadShort(s)) == loadShort(low)
	}
	for i := 0; i+8 < len(s); i += 8 {
		if lower8(load8(s, i)) != load8(low, i) {
			return false
		}
	}
	return lower8(load8(s, len(s)-8)) == load8(low, len(s)-8)
}

// appendLower appends s with its ASCII letters in lower case.
func appendLower(dst []byte, s string) []byte {
	start := len(dst)
	dst = append(dst, s...)
	for i, c := range dst[start:] {
		if 'A' <= c && c <= 'Z' {
			dst[start+i] = c + 'a' - 'A'
		}
	}
	return dst
}
