package http1

import (
	"strings"
	"testing"
)

func TestSniff(t *testing.T) {
	long := strings.Repeat("x", SniffBytes)
	for _, tc := range []struct {
		name, in string
		want     Verdict
		at       int // how many bytes it takes, 0 for all of in
	}{
		{"nothing", "", More, 0},
		{"get", "GET / HTTP/1.1\r\nHost: h\r\n", Yes, 16},
		{"1.0", "HEAD /x HTTP/1.0\r\n", Yes, 18},
		{"half", "GET / HTTP/1.", More, 0},
		{"no line end yet", "GET / HTTP/1.1\r", More, 0},
		{"own method", "PURGE /x HTTP/1.1\r\n", Yes, 0},
		{"own method, absolute", "purge Https://x/ HTTP/1.1\r\n", Yes, 0},
		{"asterisk", "OPTIONS * HTTP/1.1\r\n", Yes, 0},
		{"connect", "CONNECT h:443 HTTP/1.1\r\n", Yes, 0},
		{"bare LF", "GET / HTTP/1.1\n", Yes, 0},
		{"space in the target", "GET /a b HTTP/1.1\r\n", Yes, 0},
		{"two spaces", "GET  / HTTP/1.1\r\n", Yes, 0},
		{"1.2", "GET / HTTP/1.2\r\n", Yes, 0},
		{"long line", "POST /" + long, Yes, SniffBytes},
		{"long absolute line", "POST http://" + long, Yes, SniffBytes},
		{"long line of an own method", "PURGE /" + long, No, SniffBytes},
		{"long line, no target", "POST x" + long, No, SniffBytes},
		{"long asterisk", "GET *" + long, No, SniffBytes},

		{"no target", "GET HTTP/1.1\r\n", No, 14},
		{"0.9", "GET /\r\n", No, 7},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", No, 16},
		{"redis command", "SET foo bar\r\n", No, 5},
		{"redis get", "GET foo\r\n", No, 9},
		{"redis in binary form", "*1\r\n$4\r\nPING\r\n", No, 3},
		{"smtp", "EHLO x\r\n", No, 6},
		{"smtp from a host with h", "EHLO host\r\n", No, 7},
		{"nats", "CONNECT {\"verbose\":false}\r\n", No, 27},
		{"nats ping", "PING\r\n", No, 5},
		{"memcached", "get key\r\n", No, 5},
		{"memcached with a path", "get /key\r\n", No, 10},
		{"ssh", "SSH-2.0-OpenSSH_9.2\r\n", No, 20},
		{"tls", "\x16\x03\x01", No, 1},
		{"postgres", "\x00\x00\x00\x08", No, 1},
		{"mongo", "A\x00\x00\x00", No, 2},
		{"binary behind a method", "GET /\x00", No, 6},
		{"CR in the line", "GET /\rx", No, 7},
		{"leading CRLF", "\r\nGET / HTTP/1.1\r\n", No, 1},
		{"long token", strings.Repeat("A", 64), No, maxSniffMethod + 1},
		{"imap", "a1 LOGIN x y\r\n", No, 4},
		{"sip", "REGISTER sip:example.org SIP/2.0\r\n", No, 10},
		{"rtsp", "OPTIONS rtsp://h/ RTSP/1.0\r\n", No, 28},
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
		if len(in) >= SniffBytes && last == More {
			t.Fatal("undecided after SniffBytes")
		}
		var r Request
		n, err := r.Parse(in, nil)
		if err == nil && n > 0 && last != Yes && in[0] != '\r' && n < SniffBytes && r.Verb != VerbOther {
			t.Fatalf("%q: parsed, but the verdict is %d", in, last)
		}
	})
}
