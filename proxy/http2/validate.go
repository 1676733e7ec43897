package http2

import "strings"

// message is what one pass over the fields of a header block found. A pseudo
// field that was not there has the index -1.
type message struct {
	authority, method, path, protocol, scheme, status int
	host, contentLength                               int
}

// scan checks every field by itself, the order of pseudo fields and that the
// fields which must be single are.
func scan(fields []Field) (message, Kind) {
	m := message{-1, -1, -1, -1, -1, -1, -1, -1}
	regular := false
	for i := range fields {
		f := &fields[i]
		c := f.class
		if c == 0 {
			c = classify(f.Name, f.Value)
		}
		if c&classBadValue != 0 {
			return m, KindValue
		}
		if c.isPseudo() {
			if regular || !m.pseudo(c, i) {
				return m, KindPseudo
			}
			continue
		}
		regular = true
		if kind := m.regular(f, c, i); kind != 0 {
			return m, kind
		}
	}
	return m, 0
}

// regular checks a field that is not a pseudo field.
func (m *message) regular(f *Field, c class, i int) Kind {
	switch c {
	case classBadName:
		return KindName
	case classConnection:
		return KindConnectionField
	case classTE:
		if !strings.EqualFold(f.Value, "trailers") {
			return KindConnectionField
		}
	case classHost:
		if m.host >= 0 {
			return KindAuthority
		}
		m.host = i
	case classContentLength:
		if _, ok := parseLength(f.Value); !ok || m.contentLength >= 0 {
			return KindContentLength
		}
		m.contentLength = i
	}
	return 0
}

// pseudo notes a pseudo field; false when it is unknown or was there already.
func (m *message) pseudo(c class, i int) bool {
	var at *int
	switch c {
	case classAuthority:
		at = &m.authority
	case classMethod:
		at = &m.method
	case classPath:
		at = &m.path
	case classProtocol:
		at = &m.protocol
	case classScheme:
		at = &m.scheme
	case classStatus:
		at = &m.status
	default:
		return false
	}
	if *at >= 0 {
		return false
	}
	*at = i
	return true
}

// ValidateRequest tells whether fields make a well-formed request (RFC 9113,
// sections 8.2, 8.3.1 and 8.5; RFC 8441). The error is a Kind; the stream is to
// be reset with PROTOCOL_ERROR. It is stricter than the RFC where a next hop
// could read a request in another way: one host and one content-length at
// most, and no control characters anywhere.
func ValidateRequest(fields []Field) error {
	m, kind := scan(fields)
	if kind == 0 {
		kind = m.request(fields)
	}
	return asError(kind)
}

func (m *message) request(fields []Field) Kind {
	if m.method < 0 || m.status >= 0 {
		return KindPseudo
	}
	method := fields[m.method].Value
	if !validToken(method) {
		return KindPseudo
	}
	if method == "CONNECT" && m.protocol < 0 {
		if m.scheme >= 0 || m.path >= 0 {
			return KindPseudo
		}
		return m.authorities(fields, true, true)
	}
	if m.scheme < 0 || m.path < 0 || m.protocol >= 0 && method != "CONNECT" {
		return KindPseudo
	}
	scheme, path := fields[m.scheme].Value, fields[m.path].Value
	if !validScheme(scheme) || !allIn(path, charPath) {
		return KindPseudo
	}
	if m.protocol >= 0 && !validToken(fields[m.protocol].Value) {
		return KindPseudo
	}
	web := strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")
	if web && !(strings.HasPrefix(path, "/") || path == "*" && method == "OPTIONS") {
		return KindPseudo
	}
	return m.authorities(fields, web, m.protocol >= 0)
}

// authorities checks :authority and host. need: one of them must be there and
// none empty, as the schemes http and https ask for; pseudo: it must be
// :authority.
func (m *message) authorities(fields []Field, need, pseudo bool) Kind {
	if pseudo && m.authority < 0 || need && m.authority < 0 && m.host < 0 {
		return KindAuthority
	}
	for _, i := range [...]int{m.authority, m.host} {
		if i < 0 {
			continue
		}
		v := fields[i].Value
		if v == "" && need || !allIn(v, charAuthority) {
			return KindAuthority
		}
	}
	if m.authority >= 0 && m.host >= 0 &&
		!strings.EqualFold(fields[m.authority].Value, fields[m.host].Value) {
		return KindAuthority
	}
	return 0
}

// ValidateResponse tells whether fields make a well-formed response, an
// interim one included (RFC 9113, section 8.3.2). The error is a Kind.
func ValidateResponse(fields []Field) error {
	m, kind := scan(fields)
	if kind == 0 {
		kind = m.response(fields)
	}
	return asError(kind)
}

func (m *message) response(fields []Field) Kind {
	if m.status < 0 || m.authority >= 0 || m.method >= 0 || m.path >= 0 ||
		m.protocol >= 0 || m.scheme >= 0 {
		return KindPseudo
	}
	s := fields[m.status].Value
	if len(s) != 3 || s[0] < '1' || s[0] > '9' || s[1] < '0' || s[1] > '9' ||
		s[2] < '0' || s[2] > '9' || s == "101" {
		return KindPseudo // 101 does not exist in HTTP/2 (RFC 9113, section 8.6)
	}
	return 0
}

// ValidateTrailers tells whether fields make a well-formed trailer section,
// which has no pseudo fields (RFC 9113, section 8.1). The error is a Kind.
func ValidateTrailers(fields []Field) error {
	_, kind := scan(fields)
	if kind == 0 && len(fields) > 0 && strings.HasPrefix(fields[0].Name, ":") {
		kind = KindPseudo
	}
	return asError(kind)
}

func asError(k Kind) error {
	if k == 0 {
		return nil
	}
	return k
}

// ContentLength gives the announced length of a validated message in bytes, or
// -1 when there is none.
func ContentLength(fields []Field) int64 {
	for i := range fields {
		if fields[i].Name == "content-length" {
			if n, ok := parseLength(fields[i].Value); ok {
				return n
			}
		}
	}
	return -1
}

// parseLength takes digits and nothing else, up to 18 of them.
func parseLength(s string) (int64, bool) {
	if len(s) == 0 || len(s) > 18 {
		return 0, false
	}
	n := int64(0)
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// validScheme is RFC 3986, section 3.1.
func validScheme(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i] | 0x20
		if 'a' <= c && c <= 'z' {
			continue
		}
		if i == 0 || !(s[i] >= '0' && s[i] <= '9' || s[i] == '+' || s[i] == '-' || s[i] == '.') {
			return false
		}
	}
	return len(s) > 0
}
