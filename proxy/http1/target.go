package http1

import (
	"bytes"
	"net/netip"
)

// Form is the form of a request target (RFC 9112, section 3.2).
type Form uint8

// The forms of a target.
const (
	FormOrigin    Form = iota // /path?query
	FormAbsolute              // http://host/path?query
	FormAuthority             // host:port, with CONNECT and only there
	FormAsterisk              // *, with OPTIONS and only there
)

// parseTarget finds the form and the parts of r.Target.
func (r *Request) parseTarget() error {
	t := r.Target
	r.Scheme, r.Authority, r.Path = nil, nil, t
	switch {
	case r.Verb == VerbConnect:
		r.Form, r.Authority, r.Path = FormAuthority, t, nil
		if _, port := splitPort(t); len(port) == 0 || !ValidAuthority(t) {
			return Error{Kind: ErrBadTarget}
		}
		return nil
	case t[0] == '/':
		r.Form = FormOrigin
		return nil
	case len(t) == 1 && t[0] == '*' && r.Verb == VerbOptions:
		r.Form = FormAsterisk
		return nil
	}
	return r.parseAbsolute()
}

// parseAbsolute reads an absolute-form target. Only http and https are known.
// User information is refused (RFC 9110, section 4.2.4), as are an empty host
// and an empty path before a query, which servers read in different ways.
func (r *Request) parseAbsolute() error {
	t := r.Target
	i := bytes.IndexByte(t, ':')
	if i < 0 || !fold(t[:i], "http") && !fold(t[:i], "https") || len(t) < i+4 || string(t[i:i+3]) != "://" {
		return Error{Kind: ErrBadTarget}
	}
	r.Form, r.Scheme = FormAbsolute, t[:i]
	slash := t[i+1 : i+2] // the path of "http://host" is "/"
	t = t[i+3:]
	end := bytes.IndexByte(t, '/')
	if end < 0 {
		r.Authority, r.Path = t, slash
	} else {
		r.Authority, r.Path = t[:end], t[end:]
	}
	if !ValidAuthority(r.Authority) {
		return Error{Kind: ErrBadTarget}
	}
	return nil
}

// sameAuthority compares the target's authority with Host. A port left out is
// the scheme's; CONNECT has none, so there a Host without a port agrees with
// every port.
func (r *Request) sameAuthority() bool {
	host, port := splitPort(r.Authority)
	host2, port2 := splitPort(r.Host)
	if !equalFold(host, host2) {
		return false
	}
	if bytes.Equal(port, port2) {
		return true
	}
	if r.Form == FormAuthority {
		return len(port2) == 0
	}
	standard := "80"
	if len(r.Scheme) == len("https") {
		standard = "443"
	}
	return orPort(port, standard) == orPort(port2, standard)
}

// orPort is the number of a valid port, or of standard if it is empty.
func orPort[S ~string | ~[]byte](port S, standard string) int {
	if len(port) == 0 {
		return orPort(standard, "")
	}
	n := 0
	for i := range len(port) {
		n = n*10 + int(port[i]-'0')
	}
	return n
}

// splitPort cuts "host:port" in two; the port may be empty or missing.
func splitPort(a []byte) (host, port []byte) {
	i := bytes.LastIndexByte(a, ':')
	if i < 0 || i < bytes.LastIndexByte(a, ']') {
		return a, nil
	}
	return a[:i], a[i+1:]
}

// ValidAuthority reports whether a is host [":" port] with a host that is not
// empty: a name, an IPv4 address, or an IPv6 address without a zone in brackets
// (RFC 3986, section 3.2.2, without percent-escapes and user information).
func ValidAuthority(a []byte) bool {
	i := 0
	if len(a) > 0 && a[0] == '[' {
		i = bytes.IndexByte(a, ']')
		if i < 0 {
			return false
		}
		addr, err := netip.ParseAddr(string(a[1:i]))
		if err != nil || !addr.Is6() || addr.Zone() != "" {
			return false
		}
		i++
	} else {
		for i < len(a) && hostSet[a[i]] {
			i++
		}
	}
	if i == 0 {
		return false
	}
	return i == len(a) || a[i] == ':' && validPort(a[i+1:])
}

// validPort reports whether p is empty or a number up to 65535.
func validPort(p []byte) bool {
	if len(p) == 0 {
		return true
	}
	n, ok := parseDecimal(p)
	return ok && len(p) <= 5 && n <= 65535
}
