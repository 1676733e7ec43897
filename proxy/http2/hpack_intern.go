package http2

import "hash/maphash"

// maxInterned is the longest string in bytes that an interner keeps.
const maxInterned = 128

// internWays is how many strings of one hash have a place.
const internWays = 4

// interner makes strings of bytes and remembers the last ones, so that repeated
// literals do not allocate. Its memory is bounded by its sets times internWays
// times maxInterned bytes, and nothing is taken before the first string.
type interner struct {
	seed maphash.Seed
	sets [][internWays]string
	n    int
	dice uint64
}

// init sets the number of sets, a power of two.
func (in *interner) init(sets int) {
	in.seed, in.n = maphash.MakeSeed(), sets
}

// intern gives b as a string. A new one takes a free place of its set or else
// a random one, so that no strings displace each other for ever.
func (in *interner) intern(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if len(b) > maxInterned {
		return string(b)
	}
	if in.sets == nil {
		in.sets = make([][internWays]string, in.n)
	}
	set := &in.sets[maphash.Bytes(in.seed, b)&uint64(len(in.sets)-1)]
	for i := range set {
		if set[i] == string(b) {
			return set[i]
		}
		if set[i] == "" {
			set[i] = string(b)
			return set[i]
		}
	}
	in.dice = mix(in.dice)
	place := &set[in.dice%internWays]
	*place = string(b)
	return *place
}
