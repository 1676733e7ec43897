package http1

// Verdict is what the first bytes of a connection say about its protocol.
type Verdict uint8

// The verdicts.
const (
	More Verdict = iota // cannot be said yet: bring more bytes
	Yes                 // it is HTTP/1
	No                  // it is not
)

// What a beginning must be for Unlikely.
const (
	unlikelyMethod = 24      // longer than any registered method
	unlikelyStart  = 1 << 10 // longer than what a text protocol says without an end of line
)

// Sniffer says whether the first bytes that a client sent begin an HTTP/1
// request, as any server might read it. The zero value is ready. The verdict
// does not depend on how the bytes were split, and once it is Yes or No, more
// bytes do not change it.
//
// A server that is less strict than Parse must not get to see a request that
// nobody judged. So what one of them takes for HTTP is Yes, and Parse refuses
// it by name:
//
//   - Line ends, white space and control bytes before the first word are passed
//     over, as some servers do.
//   - The first word must be a token of any length. A binary protocol is No at
//     its first byte that is none.
//   - White space between words is what some server takes for it, besides spaces:
//     tabs and the like.
//   - Behind a method that RFC 9110 or RFC 5789 registers, what begins a target is
//     Yes: "/", "http://" or "https://".
//   - Else the line is Yes when its second, its third or its last word begins
//     with "HTTP/" and a digit, or with what else is read as that: "ICE/", and
//     "RTSP/" behind a path.
//   - Any other line is No at its end, and at a control byte. So `SET foo` of
//     Redis, `EHLO x`, `CONNECT {...}` of NATS and `get /key` are No.
//
// The preface of HTTP/2 is Yes; SniffPreface must be asked first.
type Sniffer struct {
	verdict Verdict
	seen    int      // bytes looked at
	odd     bool     // a control byte that is no white space came before the first word
	word    int      // words begun
	white   bool     // between two words
	at      int      // bytes of the word that is being read
	start   [16]byte // its first ones
	known   bool     // the method is registered
	usual   bool     // it is one that clients use
	path    bool     // the target begins as one of HTTP does
	version int      // the number of the last word that begins as a version does
}

// Sniff is a Sniffer for bytes that came at once.
func Sniff(b []byte) Verdict {
	var s Sniffer
	return s.Feed(b)
}

// Feed looks at more bytes, and gives the verdict on all of them so far.
func (s *Sniffer) Feed(b []byte) Verdict {
	for _, c := range b {
		if s.verdict != More {
			break
		}
		s.verdict = s.step(c)
		s.seen++
	}
	return s.verdict
}

// Seen is how many bytes were looked at: none behind those that gave the verdict.
func (s *Sniffer) Seen() int { return s.seen }

// Unlikely says that the verdict is open, and that clients of HTTP do not begin
// so. Who needs not wait for the verdict must still look at what follows.
func (s *Sniffer) Unlikely() bool {
	switch {
	case s.verdict != More:
		return false
	case s.path:
		return s.seen > DefaultLine
	}
	return s.odd || s.word == 1 && s.at > unlikelyMethod || s.seen > unlikelyStart
}

// Likely says that the verdict is open, and that what is there begins as clients
// of HTTP do: with a method that they use, or a part of one, or with any and a
// path.
func (s *Sniffer) Likely() bool {
	switch {
	case s.verdict != More || s.word == 0 || s.odd:
		return false
	case s.word > 1:
		return s.usual || s.path
	}
	part := string(s.start[:min(s.at, len(s.start))])
	for _, m := range usualMethods {
		if s.at <= len(m) && m[:s.at] == part && (!s.white || s.at == len(m)) {
			return true
		}
	}
	return false
}

// usualMethods are the registered ones, and those of WebDAV and others that are
// in use.
var usualMethods = [...]string{ //nolint:gochecknoglobals // never written
	"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY",
	"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "ACL", "BIND", "UNBIND", "REBIND", "SEARCH",
	"REPORT", "MKACTIVITY", "MKCALENDAR", "CHECKOUT", "CHECKIN", "MERGE", "LINK", "UNLINK", "PURGE", "BAN",
	"NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE", "M-SEARCH",
}

func (s *Sniffer) step(c byte) Verdict {
	first := s.word == 0
	switch {
	case first && (c <= ' ' || c == 0x7f):
		s.odd = s.odd || c != '\n' && !spaceSet[c]
		return More
	case c == '\n':
		if s.word > 1 && s.version == s.word {
			return Yes
		}
		return No
	case !first && spaceSet[c]:
		s.white = true
		return More
	case s.word <= 1 && !s.white && !tokenSet[c], !textSet[c]:
		return No
	}
	if first || s.white {
		s.begin()
	}
	if s.at < len(s.start) {
		s.start[s.at] = c
	}
	s.at++
	return s.judge()
}

// begin begins the next word.
func (s *Sniffer) begin() {
	if s.word == 1 {
		s.known = s.at <= len(s.start) && VerbOf(s.start[:s.at]) != VerbOther
		s.usual = s.Likely()
	}
	s.word++
	s.at, s.white = 0, false
}

// judge looks at a word behind the method, of which one more byte is there.
func (s *Sniffer) judge() Verdict {
	if s.word == 1 || s.at > len(s.start) {
		return More
	}
	w := s.start[:s.at]
	if s.word == 2 && (string(w) == "/" || prefixed(w, "http://", 0) || prefixed(w, "https://", 0)) {
		s.path = true
		if s.known {
			return Yes
		}
	}
	if prefixed(w, "http/", 1) || prefixed(w, "ice/", 1) || s.path && prefixed(w, "rtsp/", 1) {
		s.version = s.word
		if s.word <= 3 {
			return Yes
		}
	}
	return More
}

// prefixed says whether w is lower in any case, followed by as many digits.
func prefixed(w []byte, lower string, digits int) bool {
	if len(w) != len(lower)+digits || !equalFold(w[:len(lower)], []byte(lower)) {
		return false
	}
	return digits == 0 || digit(w[len(lower)])
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
