package http1

import (
	"bytes"
	"strings"
	"testing"
)

func TestSniff(t *testing.T) {
	long := strings.Repeat("x", 2<<10)
	for _, tc := range []struct {
		name, in string
		want     Verdict
		at       int // how many bytes it takes, 0 for all of in
	}{
		{"nothing", "", More, 0},
		{"get", "GET / HTTP/1.1\r\nHost: h\r\n", Yes, 5},
		{"1.0", "HEAD /x HTTP/1.0\r\n", Yes, 6},
		{"half", "GET ", More, 0},
		{"own method", "PURGE /x HTTP/1.1\r\n", Yes, 15},
		{"own method, half", "PURGE /x HTTP/", More, 0},
		{"own method, absolute", "purge Https://x/ HTTP/1.1\r\n", Yes, 23},
		{"asterisk", "OPTIONS * HTTP/1.1\r\n", Yes, 16},
		{"connect", "CONNECT h:443 HTTP/1.1\r\n", Yes, 20},
		{"bare LF", "PURGE /x HTTP/1.1\n", Yes, 15},
		{"space in the target", "PURGE /a b HTTP/1.1\r\n", Yes, 21},
		{"two spaces", "GET  / HTTP/1.1\r\n", Yes, 6},
		{"2.0", "GET x HTTP/2.0\r\n", Yes, 12},
		{"long line", "POST /" + long, Yes, 6},
		{"absolute line", "POST http://" + long, Yes, 12},
		{"long line of an own method", "PROPFIND /" + long + " HTTP/1.1\r\n", Yes, 10 + 2<<10 + 7},
		{"long line, no target", "POST x" + long, More, 0},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", Yes, 12},

		{"empty line first", "\r\nGET / HTTP/1.1\r\n", Yes, 7},
		{"control bytes first", "\x00\x01 GET / HTTP/1.1\r\n", Yes, 8},
		{"tabs", "FOO\t/\tHTTP/1.1\r\n", Yes, 12},
		{"no-break spaces", "FOO\xa0/\xa0HTTP/1.1\r\n", Yes, 12},
		{"space behind the version", "PURGE / HTTP/1.1 \r\n", Yes, 14},
		{"word behind the version", "PURGE / HTTP/1.1 x\r\n", Yes, 14},
		{"small letters", "FOO / http/1.1\r\n", Yes, 12},
		{"no path", "FOO x HTTP/1.1\r\n", Yes, 12},
		{"long method", strings.Repeat("A", 64) + " / HTTP/1.1\r\n", Yes, 64 + 9},
		{"no target", "FOO HTTP/1.1\r\n", Yes, 10},
		{"0.9", "GET /\r\n", Yes, 5},
		{"binary behind a method", "GET /\x00", Yes, 5},
		{"icecast", "SOURCE /x ICE/1.0\r\n", Yes, 15},
		{"rtsp with a path", "DESCRIBE / RTSP/1.0\r\n", Yes, 17},

		{"redis command", "SET foo bar\r\n", No, 0},
		{"redis get", "GET foo\r\n", No, 0},
		{"redis in binary form", "*1\r\n$4\r\nPING\r\n", No, 4},
		{"redis, a bare word", "PING\r\n", No, 0},
		{"smtp", "EHLO x\r\n", No, 0},
		{"smtp from a host with h", "EHLO host\r\n", No, 0},
		{"nats", "CONNECT {\"verbose\":false}\r\n", No, 0},
		{"nats in another language", "CONNECT {\"name\":\"\xc3\xa0\"}\r\n", No, 0},
		{"stomp", "CONNECT\naccept-version:1.2\n", No, 8},
		{"memcached", "get key\r\n", No, 0},
		{"memcached with a path", "get /key http://x/y\r\n", No, 0},
		{"ssh", "SSH-2.0-OpenSSH_9.2\r\n", No, 0},
		{"tls", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", No, 9},
		{"tls of another length", "\x16\x03\x01\x00A\x01", No, 6},
		{"postgres", "\x00\x00\x00\x08\x04\xd2", No, 6},
		{"socks", "\x05\x01\x00", More, 0},
		{"mongo", "A\x00\x00\x00", No, 2},
		{"json", "{}", No, 1},
		{"imap", "a1 LOGIN x y\r\n", No, 0},
		{"sip", "REGISTER sip:example.org SIP/2.0\r\n", No, 0},
		{"rtsp", "OPTIONS rtsp://h/ RTSP/1.0\r\n", No, 0},
		{"access log", "192.0.2.1 - - [x] \"GET / HTTP/1.1\" 200 5\n", No, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			at := tc.at
			if at == 0 {
				at = len(tc.in)
			}
			for n := range len(tc.in) + 1 {
				want := tc.want
				if n < at {
					want = More
				}
				if got := Sniff([]byte(tc.in[:n])); got != want {
					t.Fatalf("%q: got %d, want %d", tc.in[:n], got, want)
				}
			}
		})
	}
}

func TestSniffServer(t *testing.T) {
	for in, want := range map[string]Verdict{
		"": More, "H": More, "HTTP/1.": More, "HTTP/1.1 408 Request Timeout\r\n": More,
		"HTTP/2": No, "220 smtp": No, "http/1.": No, "\x00\x00\x0c\x04": No, "HELLO": No,
	} {
		if got := SniffServer([]byte(in)); got != want {
			t.Errorf("%q: got %d, want %d", in, got, want)
		}
	}
}

// FuzzSniff holds that a verdict is final and that a line that Parse accepts is
// never No.
func FuzzSniff(f *testing.F) {
	for _, in := range []string{"GET / HTTP/1.1\r\n", "CONNECT {}\r\n", "get http", "\x16\x03", "GET /\r"} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		last := More
		for n := range len(in) + 1 {
			got := Sniff(in[:n])
			if last != More && got != last {
				t.Fatalf("%q: was %d, became %d", in[:n], last, got)
			}
			last = got
		}
		var r Request
		if n, err := r.Parse(in, nil); err == nil && n > 0 && last != Yes {
			t.Fatalf("%q: parsed, but the verdict is %d", in, last)
		}
		if lenient(in) && last != Yes {
			t.Fatalf("%q: some server reads a request, but the verdict is %d", in, last)
		}
	})
}

// lenient says whether a server that splits the first line at white space, as
// Python's does, finds a request behind what others pass over.
func lenient(in []byte) bool {
	in = bytes.TrimLeftFunc(in, func(r rune) bool { return r <= ' ' || r == 0x7f })
	line, _, ok := bytes.Cut(in, []byte("\n"))
	words := bytes.FieldsFunc(line, func(r rune) bool { return r <= ' ' && spaceSet[r] })
	if !ok || len(words) != 3 || !ValidToken(words[0]) || !ValidText(words[1]) {
		return false
	}
	version, ok := bytes.CutPrefix(words[2], []byte("HTTP/1."))
	return ok && len(version) == 1 && digit(version[0])
}

func TestUnlikely(t *testing.T) {
	for in, want := range map[string]bool{
		"": false, "GE": false, "\r\n": false, "\x00": true, "\x05\x01\x00": true, "\x00\xff": false,
		strings.Repeat("A", 24): false, strings.Repeat("A", 25): true,
		"FOO x" + strings.Repeat("x", 1<<10): true, "FOO /" + strings.Repeat("x", 1<<10): false,
		"FOO /" + strings.Repeat("x", 16<<10): true,
	} {
		var s Sniffer
		s.Feed([]byte(in))
		if s.Unlikely() != want {
			t.Errorf("%.40q: not %v", in, want)
		}
	}
}

func TestLikely(t *testing.T) {
	for in, want := range map[string]bool{
		"": false, "G": true, "GE": true, "GET": true, "GETS": false, "GET ": true, "GE ": false, "GET foo": true,
		"UNSUBSCRIBE": true, "ruok": false, "FOO": false, "FOO x": false, "FOO /": true, "\r\n": false, "\r\nGE": true,
		"\x00GE": false, "GET /": false, strings.Repeat("A", 99): false,
	} {
		var s Sniffer
		s.Feed([]byte(in))
		if s.Likely() != want {
			t.Errorf("%.40q: not %v", in, want)
		}
	}
}
