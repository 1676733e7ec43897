package http2

// Preface is what a client sends before its first frame (RFC 9113, section 3.4).
const Preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

// Verdict is the answer of a sniffer that has seen the first bytes of a peer.
type Verdict uint8

const (
	// More: nothing speaks against it, but it takes more bytes to be sure.
	More Verdict = iota
	// Yes: it is.
	Yes
	// No: it cannot be, whatever comes.
	No
)

// SniffPreface tells whether b, the first bytes of a client, are the Preface.
// No bytes at all are More; Yes needs the whole of it.
func SniffPreface(b []byte) Verdict {
	n := min(len(b), len(Preface))
	switch {
	case string(b[:n]) != Preface[:n]:
		return No
	case n == len(Preface):
		return Yes
	}
	return More
}

// SniffSettings tells whether b, the first bytes of a server, can begin the
// SETTINGS frame that opens an HTTP/2 server's side: not an acknowledgement, on
// stream 0, with whole entries and not more than a first frame may hold. Yes
// needs a whole frame header.
func SniffSettings(b []byte) Verdict {
	for i, c := range b[:min(len(b), FrameHeaderLen)] {
		var ok bool
		switch i {
		case 0:
			ok = c == 0 // the length is at most 16384
		case 1:
			ok = c <= MinMaxFrame>>8
		case 2:
			n := int(b[1])<<8 | int(c)
			ok = n <= MinMaxFrame && n%settingLen == 0
		case 3:
			ok = FrameType(c) == FrameSettings
		case 4:
			ok = c&FlagAck == 0
		case 5:
			ok = c&0x7f == 0 // the reserved bit is ignored
		default:
			ok = c == 0
		}
		if !ok {
			return No
		}
	}
	if len(b) < FrameHeaderLen {
		return More
	}
	return Yes
}
