package http1

import "math"

// Body says how the end of a message body is found (RFC 9112, section 6.3).
type Body uint8

// The framings of a body.
const (
	BodyNone       Body = iota // no bytes follow the head
	BodyLength                 // Length bytes follow, at least one
	BodyChunked                // chunks follow, read with Chunks
	BodyUntilClose             // bytes follow until the connection ends; responses only
)

// maxOptions bounds the options of all Connection fields of a head: each of
// them is looked up among the fields.
const maxOptions = 32

// facts is what the fields of a head say together.
type facts struct {
	hosts, lengths, codings int
	length                  int64
	chunked                 bool // Transfer-Encoding: chunked was there
	close, keepAlive        bool // options of Connection
	upgradeOption, upgrade  bool // option of Connection; Upgrade field
	trailers                bool // TE: trailers
	expect                  bool // Expect: 100-continue
	listed                  bool // Connection lists some other field
	options                 int
	timeout                 int64 // seconds of Keep-Alive: timeout=N, -1 if absent
}

// parseFields reads all field lines that l found. It appends to fields.
func parseFields(fields []Field, b []byte, l *lines, has *facts) ([]Field, error) {
	*has = facts{timeout: -1}
	var f *Field
	for i := l.starts; i < len(l.ends); i++ {
		fields, f = nextField(fields)
		if err := f.parse(l.line(b, i)); err != nil {
			return fields, err
		}
		if f.Kind == KindOther {
			continue
		}
		if err := has.note(f); err != nil {
			return fields, err
		}
	}
	if has.listed {
		return fields, markListed(fields)
	}
	return fields, nil
}

// note takes in a field that has a meaning for the connection.
func (h *facts) note(f *Field) error {
	switch f.Kind {
	case KindHost:
		if h.hosts++; h.hosts > 1 {
			return Error{Kind: ErrDuplicateHost}
		}
	case KindContentLength:
		if h.lengths++; h.lengths > 1 {
			return Error{Kind: ErrDuplicateLength}
		}
		n, ok := parseDecimal(f.Value)
		if !ok {
			return Error{Kind: ErrBadLength}
		}
		h.length = n
	case KindTransferEncoding:
		if h.codings++; h.codings > 1 {
			return Error{Kind: ErrDuplicateCoding}
		}
		if !fold(f.Value, "chunked") {
			return Error{Kind: ErrUnsupportedCoding}
		}
		h.chunked = true
	case KindConnection:
		return h.noteOptions(f.Value)
	case KindUpgrade:
		h.upgrade = true
	case KindExpect:
		h.expect = h.expect || fold(f.Value, "100-continue")
	case KindTE:
		h.noteTE(f.Value)
	case KindKeepAlive:
		h.noteKeepAlive(f.Value)
	}
	return nil
}

// noteOptions reads a Connection value (RFC 9110, section 7.6.1). An option
// that is no token names nothing and is passed over.
func (h *facts) noteOptions(list []byte) error {
	for len(list) > 0 {
		var option []byte
		option, list = nextItem(list)
		if h.options++; h.options > maxOptions {
			return Error{Kind: ErrBadConnection}
		}
		switch {
		case fold(option, "close"):
			h.close = true
		case fold(option, "keep-alive"):
			h.keepAlive = true
		case fold(option, "upgrade"):
			h.upgradeOption = true
		case ValidToken(option) && !KindOf(option).Hop():
			h.listed = true
		}
	}
	return nil
}

func (h *facts) noteTE(list []byte) {
	for len(list) > 0 {
		var item []byte
		item, list = nextItem(list)
		h.trailers = h.trailers || fold(item, "trailers")
	}
}

func (h *facts) noteKeepAlive(list []byte) {
	const name = "timeout="
	for len(list) > 0 {
		var item []byte
		item, list = nextItem(list)
		if len(item) <= len(name) || !fold(item[:len(name)-1], "timeout") || item[len(name)-1] != '=' {
			continue
		}
		if n, ok := parseDecimal(item[len(name):]); ok {
			h.timeout = n
		}
	}
}

// framing checks what the fields say about the length of the body
// (RFC 9112, sections 6.1 and 6.3).
func (h *facts) framing(minor uint8) error {
	switch {
	case h.codings > 0 && h.lengths > 0:
		return Error{Kind: ErrBothLengths}
	case h.codings > 0 && minor == 0:
		return Error{Kind: ErrCodingVersion}
	}
	return nil
}

// persistent reports whether the connection stays after this message
// (RFC 9112, section 9.3).
func (h *facts) persistent(minor uint8) bool {
	return !h.close && (minor > 0 || h.keepAlive)
}

// markListed marks the fields that a Connection field lists. A list that names
// what every recipient needs is an attempt to make one of them miss it
// (RFC 9110, section 7.6.1 forbids it), and is refused.
func markListed(fields []Field) error {
	for i := range fields {
		if fields[i].Kind != KindConnection {
			continue
		}
		for list := fields[i].Value; len(list) > 0; {
			var option []byte
			option, list = nextItem(list)
			if k := KindOf(option); k == KindHost || k == KindContentLength {
				return Error{Kind: ErrBadConnection}
			}
			for j := range fields {
				if equalFold(fields[j].Name, option) {
					fields[j].hop = true
				}
			}
		}
	}
	return nil
}

// parseDecimal reads digits and nothing else.
func parseDecimal(s []byte) (n int64, ok bool) {
	for _, c := range s {
		d := int64(c) - '0'
		if d < 0 || d > 9 || n > (math.MaxInt64-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, len(s) > 0
}

// parseVersion reads "HTTP/1.0" or "HTTP/1.1" (RFC 9112, section 2.3).
func parseVersion(v []byte) (minor uint8, err error) {
	const like = "HTTP/1.1"
	if len(v) != len(like) || string(v[:5]) != like[:5] || v[6] != '.' || !digit(v[5]) || !digit(v[7]) {
		return 0, Error{Kind: ErrBadVersion}
	}
	if v[5] != '1' || v[7] > '1' {
		return 0, Error{Kind: ErrUnsupportedVersion}
	}
	return v[7] - '0', nil
}

func digit(c byte) bool { return '0' <= c && c <= '9' }
