// Package hello reads the name that a TLS client asks for from its first
// bytes. It is a codec: bytes in, a verdict out; it changes nothing, decrypts
// nothing and knows no mesh.
package hello

import "encoding/binary"

// Verdict is what the first bytes of a connection say.
type Verdict uint8

// The verdicts.
const (
	More Verdict = iota // cannot be said yet: bring more bytes
	Yes                 // a whole ClientHello
	No                  // something else
)

// Most is how many bytes Sniff looks at: with that many it never answers More.
// Real ones have 250 bytes to 2 KB, with post-quantum key shares.
const Most = 8 << 10

const (
	recordHeader    = 5
	handshakeHeader = 4
	maxRecord       = 1 << 14
	maxName         = 255
	typeHandshake   = 22
	typeClientHello = 1
	extServerName   = 0
	nameTypeHost    = 0
	randomLen       = 32
)

// Sniff says whether b, the first bytes that a client sent, is a TLS
// ClientHello (RFC 8446, sections 4.1.2 and 5.1; older versions begin alike),
// and gives the host name that it asks for (RFC 6066, section 3), in lower
// case, or "" where it asks for none or for nothing that is a name. The answer
// does not depend on how the bytes were split: once it is Yes or No, more
// bytes do not change it.
func Sniff(b []byte) (name string, v Verdict) {
	whole := len(b) >= Most
	b = b[:min(len(b), Most)]
	message, v := gather(b)
	switch {
	case v == More && whole:
		return "", No
	case v != Yes:
		return "", v
	}
	list, ok := extension(message)
	if !ok {
		return "", No
	}
	return hostName(list), Yes
}

// gather gives the body of the handshake message, which may be spread over
// several records.
func gather(b []byte) (message []byte, v Verdict) {
	want := -1 // length of the message with its header, once known
	records := 0
	for {
		fragment, rest, v := record(b)
		if v == No {
			return nil, No
		}
		switch records++; records {
		case 1:
			message = fragment // nearly always all of it
		case 2:
			message = append(append(make([]byte, 0, Most), message...), fragment...)
		default:
			message = append(message, fragment...)
		}
		if len(message) > 0 && message[0] != typeClientHello {
			return nil, No
		}
		if want < 0 && len(message) >= handshakeHeader {
			want = handshakeHeader + int(binary.BigEndian.Uint32(message)&0xffffff)
			if want > Most {
				return nil, No
			}
		}
		if want >= 0 && len(message) >= want {
			return message[handshakeHeader:want], Yes
		}
		if v == More {
			return nil, More
		}
		b = rest
	}
}

// record gives what is there of the first record's fragment. More says that
// the record is not whole.
func record(b []byte) (fragment, rest []byte, v Verdict) {
	for i, c := range b[:min(len(b), recordHeader)] {
		if i == 0 && c != typeHandshake || i == 1 && c != 3 {
			return nil, nil, No
		}
	}
	if len(b) < recordHeader {
		return nil, nil, More
	}
	n := int(binary.BigEndian.Uint16(b[3:]))
	if n == 0 || n > maxRecord {
		return nil, nil, No
	}
	b = b[recordHeader:]
	if len(b) < n {
		return b, nil, More
	}
	return b[:n], b[n:], Yes
}

// extension walks a whole ClientHello and gives the body of its server_name
// extension, or nil when there is none. It is false for what is malformed.
func extension(b []byte) (list []byte, ok bool) {
	if len(b) < 2+randomLen {
		return nil, false
	}
	b = b[2+randomLen:]
	for _, size := range []int{1, 2, 1} { // session ID, cipher suites, compression methods
		if _, b, ok = vector(b, size); !ok {
			return nil, false
		}
	}
	if len(b) == 0 {
		return nil, true // before TLS 1.2 there need be no extensions
	}
	all, rest, ok := vector(b, 2)
	if !ok || len(rest) > 0 {
		return nil, false
	}
	for len(all) > 0 {
		if len(all) < 2 {
			return nil, false
		}
		kind := binary.BigEndian.Uint16(all)
		var body []byte
		if body, all, ok = vector(all[2:], 2); !ok {
			return nil, false
		}
		if kind == extServerName && list == nil {
			list = body
		}
	}
	return list, true
}

// hostName gives the host name of a server_name extension.
func hostName(list []byte) string {
	names, rest, ok := vector(list, 2)
	if !ok || len(rest) > 0 {
		return ""
	}
	for len(names) > 0 {
		kind := names[0]
		var name []byte
		if name, names, ok = vector(names[1:], 2); !ok {
			return ""
		}
		if kind == nameTypeHost {
			return lower(name)
		}
	}
	return ""
}

// vector splits off what a length of so many bytes stands in front of.
func vector(b []byte, size int) (body, rest []byte, ok bool) {
	if len(b) < size {
		return nil, nil, false
	}
	n := 0
	for _, c := range b[:size] {
		n = n<<8 | int(c)
	}
	if b = b[size:]; len(b) < n {
		return nil, nil, false
	}
	return b[:n], b[n:], true
}

// lower gives the name in lower case, or "" when it can be none.
func lower(b []byte) string {
	if len(b) == 0 || len(b) > maxName {
		return ""
	}
	name := make([]byte, len(b))
	for i, c := range b {
		switch {
		case c >= 'A' && c <= 'Z':
			c += 'a' - 'A'
		case c >= 'a' && c <= 'z', c >= '0' && c <= '9', c == '-', c == '.', c == '_':
		default:
			return ""
		}
		name[i] = c
	}
	return string(name)
}
