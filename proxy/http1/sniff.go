package http1

import "bytes"

// Verdict is what the first bytes of a connection say about its protocol.
type Verdict uint8

// The verdicts.
const (
	More Verdict = iota // cannot be said yet: bring more bytes
	Yes                 // it is HTTP/1
	No                  // it is not
)

// Bounds of Sniff.
const (
	// SniffBytes is how many bytes Sniff looks at: with that many it never
	// answers More.
	SniffBytes = 1024
	// maxSniffMethod is longer than any registered method.
	maxSniffMethod = 24
)

// Sniff says whether b, the first bytes a client sent, begins an HTTP/1
// request. The answer does not depend on how the bytes were split: once it is
// Yes or No, more bytes do not change it.
//
//   - A method must come first: up to 24 token bytes and a space. A binary
//     protocol is No at its first byte that is none.
//   - Behind a method that RFC 9110 or RFC 5789 registers may stand any visible
//     byte; behind any other token only what begins a target: "/", "*",
//     "http://" or "https://".
//   - The rest of the line must be text. At its end, CRLF or LF, the answer is
//     Yes if it ends in " HTTP/1." and a digit, else No. So `SET foo` of Redis,
//     `EHLO x`, `CONNECT {...}` of NATS and `get key` are No, and so is the
//     preface of HTTP/2. A line that is HTTP in all but a detail (a space in
//     the target, a bare LF) is Yes, so that Parse can refuse it by name.
//   - A line longer than SniffBytes is Yes if the method is registered and the
//     target begins with "/", "http://" or "https://", else No.
func Sniff(b []byte) Verdict {
	whole := len(b) >= SniffBytes
	b = b[:min(len(b), SniffBytes)]
	i := 0
	for i < len(b) && tokenSet[b[i]] {
		i++
	}
	switch {
	case i > maxSniffMethod, i == 0 && len(b) > 0:
		return No
	case i == len(b):
		return More
	case b[i] != ' ':
		return No
	}
	known := VerbOf(b[:i]) != VerbOther
	rest := b[i+1:]
	target := sniffTarget(rest)
	if target == No && !known {
		return No
	}
	end := bytes.IndexByte(rest, '\n')
	if end >= 0 {
		return sniffLine(rest[:end])
	}
	if len(rest) > 0 && rest[len(rest)-1] == '\r' {
		rest = rest[:len(rest)-1]
	}
	switch {
	case badText(rest) >= 0:
		return No
	case !whole:
		return More
	case known && target == Yes && rest[0] != '*':
		return Yes
	}
	return No
}

// sniffLine judges a complete request line behind its method.
func sniffLine(line []byte) Verdict {
	const version = " HTTP/1."
	line = bytes.TrimSuffix(line, []byte("\r"))
	at := len(line) - len(version) - 1
	if at < 1 || badText(line) >= 0 || !digit(line[len(line)-1]) || string(line[at:len(line)-1]) != version {
		return No
	}
	return Yes
}

// sniffTarget says whether t begins a request target.
func sniffTarget(t []byte) Verdict {
	if len(t) == 0 {
		return More
	}
	if t[0] == '/' || t[0] == '*' {
		return Yes
	}
	verdict := No
	for _, scheme := range [...]string{"http://", "https://"} {
		n := min(len(t), len(scheme))
		for i := 0; i < n; i++ {
			if lower(t[i]) != scheme[i] {
				n = -1
			}
		}
		switch {
		case n == len(scheme):
			return Yes
		case n > 0:
			verdict = More
		}
	}
	return verdict
}

// SniffServer says whether b, the first bytes a server sent, rules HTTP/1 out:
// No, or More while they are, or begin with, a beginning of "HTTP/1.". It never
// says Yes, because a server that speaks HTTP first (a 408 on an idle
// connection) decides nothing: the client's bytes do. It looks at seven bytes.
func SniffServer(b []byte) Verdict {
	const like = "HTTP/1."
	n := min(len(b), len(like))
	if string(b[:n]) != like[:n] {
		return No
	}
	return More
}
