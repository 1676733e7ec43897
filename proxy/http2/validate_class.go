package http2

// class is what a field is to the rules of RFC 9113, section 8: a role, and
// whether its characters are sound. 0 is not classified yet.
type class uint8

const (
	classPlain class = iota + 1
	classAuthority
	classMethod
	classPath
	classProtocol
	classScheme
	classStatus
	classBadPseudo
	classHost
	classTE
	classContentLength
	classConnection // belongs to one HTTP/1 connection
	classBadName

	classBadValue class = 0x80 // a bit beside the role
)

func (c class) isPseudo() bool { return c >= classAuthority && c <= classBadPseudo }

// classify looks at a field once.
func classify(name, value string) class {
	c := classifyName(name)
	if !validValue(value) {
		c |= classBadValue
	}
	return c
}

func classifyName(name string) class {
	if len(name) > 0 && name[0] == ':' {
		return classifyPseudo(name)
	}
	switch name {
	case "host":
		return classHost
	case "te":
		return classTE
	case "content-length":
		return classContentLength
	case "connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade":
		return classConnection
	}
	if !validName(name) {
		return classBadName
	}
	return classPlain
}

func classifyPseudo(name string) class {
	switch name {
	case ":authority":
		return classAuthority
	case ":method":
		return classMethod
	case ":path":
		return classPath
	case ":protocol":
		return classProtocol
	case ":scheme":
		return classScheme
	case ":status":
		return classStatus
	}
	return classBadPseudo
}

// charTable says which sets a byte is in.
var charTable = func() (t [256]uint8) { //nolint:gochecknoglobals // a table; never written
	for c := range 256 {
		b := byte(c)
		isLower := 'a' <= b && b <= 'z' || '0' <= b && b <= '9'
		for _, other := range []byte("!#$%&'*+-.^_`|~") {
			isLower = isLower || b == other
		}
		if isLower {
			t[c] |= charName | charToken
		}
		if 'A' <= b && b <= 'Z' {
			t[c] |= charToken
		}
		if b == '\t' || b >= ' ' && b != 0x7f {
			t[c] |= charValue
		}
		if b > ' ' && b != 0x7f {
			t[c] |= charPath | charAuthority
		}
	}
	for _, b := range []byte("@/\\?#") {
		t[b] &^= charAuthority
	}
	t['#'] &^= charPath
	return t
}()

const (
	charName      uint8 = 1 << iota // a token in lower case (RFC 9113, section 8.2.1)
	charToken                       // RFC 9110, section 5.6.2
	charValue                       // RFC 9110, section 5.5
	charPath                        // no space, no control, no fragment: what a request line can hold
	charAuthority                   // visible, and neither user information nor a path
)

func allIn(s string, set uint8) bool {
	for i := 0; i < len(s); i++ {
		if charTable[s[i]]&set == 0 {
			return false
		}
	}
	return true
}

func validName(s string) bool { return len(s) > 0 && allIn(s, charName) }

func validToken(s string) bool { return len(s) > 0 && allIn(s, charToken) }

// validValue is stricter than RFC 9113, section 8.2.1: no control characters
// but tabs, since they have no meaning and next hops disagree about them.
func validValue(s string) bool {
	if len(s) == 0 {
		return true
	}
	first, last := s[0], s[len(s)-1]
	if first == ' ' || first == '\t' || last == ' ' || last == '\t' {
		return false
	}
	return allIn(s, charValue)
}
