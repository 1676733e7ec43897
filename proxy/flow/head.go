package flow

import (
	"strings"

	"github.com/leno-mesh/leno/proxy/http1"
)

// FromHTTP1 fills in a request from a parsed HTTP/1 head. The strings are
// views of the buffer that the head was parsed from. Per-hop fields and
// Leno's own are left out.
func (r *Request) FromHTTP1(h *http1.Request) {
	r.Method, r.Target = View(h.Method), View(h.Target)
	r.Path, r.Authority = View(h.Path), View(h.Authority)
	r.Form = Form(h.Form) // the same four forms in the same order
	r.Version = Version(h.Minor)
	r.Head = h.Verb == http1.VerbHead
	r.Canonical, r.Upgrade, r.ClientID = false, "", ""
	r.Length = bodyLength(h.Body, h.Length)
	r.HostAt, r.HostName = -1, ""
	r.Fields = r.Fields[:0]
	for i := range h.Fields {
		f := &h.Fields[i]
		switch f.Kind {
		case http1.KindHost:
			r.HostAt = len(r.Fields)
			if string(f.Name) != "Host" {
				r.HostName = View(f.Name)
			}
			continue
		case http1.KindLeno:
			continue
		case http1.KindUpgrade:
			// One with a body goes on as it is, without the wish.
			if h.Upgrade && h.Body == http1.BodyNone && r.Upgrade == "" {
				r.Upgrade = wished(View(f.Value))
			}
		case http1.KindTE:
			if h.TETrailers {
				r.Fields = append(r.Fields, Field{Name: View(f.Name), Value: "trailers"})
			}
		}
		if !f.Hop() {
			r.Fields = append(r.Fields, Field{Name: View(f.Name), Value: View(f.Value)})
		}
	}
}

// wished gives an Upgrade value without the protocols that are HTTP again. What
// follows a 101 is not looked at, so it must not be requests: they would say who
// their client is. RFC 9113, section 3.1, has given h2c up, and a server may always
// decline.
func wished(list string) string {
	if !strings.ContainsAny(list, "hH") {
		return list
	}
	keep, all := "", true
	for item := range strings.SplitSeq(list, ",") {
		name, _, _ := strings.Cut(strings.Trim(item, " \t"), "/")
		switch {
		case EqualFold(name, "h2c"), EqualFold(name, "h2"), EqualFold(name, "http"), len(name) > 4 && EqualFold(name[:4], "h2c-"):
			all = false
		case name == "":
		case keep == "":
			keep = strings.Trim(item, " \t")
		default:
			keep += ", " + strings.Trim(item, " \t")
		}
	}
	if all {
		return list
	}
	return keep
}

// FromHTTP1 fills in a response from a parsed HTTP/1 head, as above.
func (r *Response) FromHTTP1(h *http1.Response) {
	r.Status, r.Reason, r.Version = h.Status, View(h.Reason), Version(h.Minor)
	r.Length = bodyLength(h.Body, h.Length)
	r.UntilClose = h.Body == http1.BodyUntilClose
	r.Canonical, r.Leno, r.Upgrade = false, "", ""
	r.Switched = h.Upgrade || h.Tunnel
	r.Fields = r.Fields[:0]
	for i := range h.Fields {
		f := &h.Fields[i]
		if f.Kind == http1.KindUpgrade && h.Upgrade {
			r.Upgrade = View(f.Value)
		}
		if !f.Hop() && f.Kind != http1.KindLeno {
			r.Fields = append(r.Fields, Field{Name: View(f.Name), Value: View(f.Value)})
		}
	}
}

func bodyLength(kind http1.Body, length int64) int64 {
	switch kind {
	case http1.BodyNone:
		return 0
	case http1.BodyLength:
		return length
	default:
		return -1
	}
}

// AppendHead appends the request as an HTTP/1 head, without the empty line
// that ends it, so that per-hop fields can follow.
func (r *Request) AppendHead(dst []byte) []byte {
	dst = http1.AppendRequestLine(dst, r.Method, r.Target, r.minor())
	for i := range r.Fields {
		if i == r.HostAt {
			dst = r.appendHost(dst)
		}
		dst = appendField(dst, &r.Fields[i], r.Canonical)
	}
	if r.HostAt >= len(r.Fields) {
		dst = r.appendHost(dst)
	}
	if r.ClientID != "" {
		dst = http1.AppendField(dst, FieldClientID, r.ClientID)
	}
	return dst
}

func (r *Request) appendHost(dst []byte) []byte {
	name := r.HostName
	if name == "" {
		name = "Host"
	}
	return http1.AppendField(dst, name, r.Authority)
}

func (r *Request) minor() uint8 {
	if r.Version == HTTP10 {
		return 0
	}
	return 1
}

// AppendHead appends the response as an HTTP/1 head in the given version,
// without the empty line.
func (r *Response) AppendHead(dst []byte, minor uint8) []byte {
	dst = http1.AppendStatusLine(dst, minor, r.Status, r.Reason)
	for i := range r.Fields {
		dst = appendField(dst, &r.Fields[i], r.Canonical)
	}
	return dst
}

func appendField(dst []byte, f *Field, canonical bool) []byte {
	start := len(dst)
	dst = http1.AppendField(dst, f.Name, f.Value)
	if canonical {
		canonicalize(dst[start : start+len(f.Name)])
	}
	return dst
}

// canonicalize writes a lower-case name in its canonical case in place:
// the first letter and each one after a dash are upper case.
func canonicalize(name []byte) {
	up := true
	for i, c := range name {
		if up && c >= 'a' && c <= 'z' {
			name[i] = c - ('a' - 'A')
		}
		up = c == '-'
	}
}

// CanonicalName gives a lower-case name in its canonical case.
func CanonicalName(name string) string {
	b := []byte(name)
	canonicalize(b)
	return string(b)
}

// IsCanonical says whether canonicalizing the lower-case form of the name
// gives the name.
func IsCanonical(name string) bool {
	up := true
	for i := range len(name) {
		c := name[i]
		if up && c >= 'a' && c <= 'z' || !up && c >= 'A' && c <= 'Z' {
			return false
		}
		up = c == '-'
	}
	return true
}

// IsLower says whether the name has no upper-case letter.
func IsLower(name string) bool {
	return strings.IndexFunc(name, func(r rune) bool { return r >= 'A' && r <= 'Z' }) < 0
}
