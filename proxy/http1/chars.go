package http1

import "encoding/binary"

// charset is a set of bytes.
type charset [256]bool

// is reports whether every byte of s is in the set.
func is[S ~string | ~[]byte](set *charset, s S) bool {
	for i := 0; i < len(s); i++ {
		if !set[s[i]] {
			return false
		}
	}
	return true
}

// makeSet builds the set of letters, digits and the bytes of also.
func makeSet(also string) (set charset) {
	for c := '0'; c <= '9'; c++ {
		set[c] = true
	}
	for c := 'a'; c <= 'z'; c++ {
		set[c], set[c-'a'+'A'] = true, true
	}
	for _, c := range []byte(also) {
		set[c] = true
	}
	return set
}

// makeTargetSet builds the set of visible bytes, without '#': a target has no
// fragment (RFC 9112, section 3.2), and a server that cuts one off would see
// another path than the one that was judged. Bytes past ASCII are let through,
// as most servers do: they delimit nothing.
func makeTargetSet() (set charset) {
	for c := range set {
		set[c] = c > ' ' && c != 0x7f && c != '#'
	}
	return set
}

// makeTextSet builds the set of bytes a field value or reason phrase may hold
// (RFC 9110, section 5.5).
func makeTextSet() (set charset) {
	for c := range set {
		set[c] = c == '\t' || c >= ' ' && c != 0x7f
	}
	return set
}

// makeSpaceSet builds the set of what some server takes for white space within a
// line: of ASCII, and of Latin-1, as which some decode a head.
func makeSpaceSet() (set charset) {
	for _, c := range []byte("\t\v\f\r \x1c\x1d\x1e\x1f\x85\xa0") {
		set[c] = true
	}
	return set
}

// The sets.
//
//nolint:gochecknoglobals // never written
var (
	tokenSet  = makeSet("!#$%&'*+-.^_`|~") // RFC 9110, section 5.6.2
	hostSet   = makeSet("-._~!$&'()*+,;=") // RFC 3986, section 3.2.2, without percent-escapes
	targetSet = makeTargetSet()
	textSet   = makeTextSet()
	spaceSet  = makeSpaceSet()
)

// ValidToken reports whether s is a token: a method or a field name
// (RFC 9110, section 5.6.2).
func ValidToken[S ~string | ~[]byte](s S) bool { return len(s) > 0 && is(&tokenSet, s) }

// ValidText reports whether s may be a field value or a reason phrase: no
// control bytes but the tab.
func ValidText[S ~string | ~[]byte](s S) bool { return is(&textSet, s) }

// ValidTarget reports whether s may stand as a request target: not empty,
// visible bytes only, no '#'.
func ValidTarget[S ~string | ~[]byte](s S) bool { return len(s) > 0 && is(&targetSet, s) }

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// badText returns the index of the first byte of v that a field value may not
// hold, or -1. Values are most of a head, so eight bytes go at a time.
func badText(v []byte) int {
	i := 0
	for ; i+8 <= len(v); i += 8 {
		x := binary.LittleEndian.Uint64(v[i:])
		del := x ^ 0x7f*ones
		if ((x-0x20*ones)&^x|(del-ones)&^del)&highs == 0 {
			continue // no byte below 0x20, none 0x7f
		}
		for j := i; j < i+8; j++ { // a tab, or really bad
			if !textSet[v[j]] {
				return j
			}
		}
	}
	for ; i < len(v); i++ {
		if !textSet[v[i]] {
			return i
		}
	}
	return -1
}

// fold reports whether s is lower, ignoring case. Lower must consist of small
// letters, digits and hyphens. It is right where s has no control bytes: setting
// bit 5 then makes only capital letters into small ones, and nothing into a
// digit or a hyphen.
func fold[S ~string | ~[]byte](s S, lower string) bool {
	if len(s) != len(lower) {
		return false
	}
	for i := 0; i < len(lower); i++ {
		if s[i]|0x20 != lower[i] {
			return false
		}
	}
	return true
}

// equalFold reports whether a and b are the same, ignoring the case of ASCII
// letters.
func equalFold(a, b []byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i, c := range a {
		if c != b[i] && lower(c) != lower(b[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		c |= 0x20
	}
	return c
}

// trim cuts spaces and tabs off both ends (OWS; RFC 9110, section 5.6.3).
func trim(v []byte) []byte {
	for len(v) > 0 && (v[0] == ' ' || v[0] == '\t') {
		v = v[1:]
	}
	for len(v) > 0 && (v[len(v)-1] == ' ' || v[len(v)-1] == '\t') {
		v = v[:len(v)-1]
	}
	return v
}

// nextItem cuts the first item off a comma-separated list and trims it.
func nextItem(list []byte) (item, rest []byte) {
	for i, c := range list {
		if c == ',' {
			return trim(list[:i]), list[i+1:]
		}
	}
	return trim(list), nil
}
