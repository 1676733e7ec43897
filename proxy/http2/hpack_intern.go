package http2

import "hash/maphash"

// maxInterned is the longest string in bytes that an interner keeps.
const maxInterned = 128

// interner makes strings of bytes and remembers the last one of each slot, so
// that repeated literals do not allocate. Its memory is bounded by its slots
// times maxInterned and grows only with what was seen.
type interner struct {
	seed  maphash.Seed
	slots []string
	n     int
}

// init sets the number of slots, a power of two.
func (in *interner) init(slots int) {
	in.seed, in.n = maphash.MakeSeed(), slots
}

// intern gives b as a string.
func (in *interner) intern(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if len(b) > maxInterned {
		return string(b)
	}
	if in.slots == nil {
		in.slots = make([]string, in.n)
	}
	slot := &in.slots[maphash.Bytes(in.seed, b)&uint64(len(in.slots)-1)]
	if *slot != string(b) {
		*slot = string(b)
	}
	return *slot
}
