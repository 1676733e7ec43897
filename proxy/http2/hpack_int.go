package http2

// maxInt is the largest integer taken: more than any length or table size
// here can be.
const maxInt = 1<<28 - 1

// readInt reads an integer with a prefix of bits bits (RFC 7541, section 5.1)
// from the start of p, which is not empty. n is the number of bytes it took; 0
// means that it is cut off, larger than maxInt or longer than ten bytes.
func readInt(p []byte, bits uint8) (v, n int) {
	mask := byte(1<<bits - 1)
	if c := p[0] & mask; c < mask {
		return int(c), 1
	}
	sum := uint64(mask)
	for i, c := range p[1:min(len(p), 10)] {
		sum += uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			if sum > maxInt {
				return 0, 0
			}
			return int(sum), i + 2
		}
	}
	return 0, 0
}

// appendInt appends v with a prefix of bits bits; first holds the bits before it.
func appendInt(dst []byte, first byte, bits uint8, v int) []byte {
	mask := 1<<bits - 1
	if v < mask {
		return append(dst, first|byte(v))
	}
	dst = append(dst, first|byte(mask))
	for v -= mask; v >= 0x80; v >>= 7 {
		dst = append(dst, byte(v)|0x80)
	}
	return append(dst, byte(v))
}
