package http1

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// describe renders what was understood of a request, for tables.
func (r *Request) describe() string {
	var s strings.Builder
	fmt.Fprintf(&s, "%s %s form=%d 1.%d authority=%s path=%s body=%d/%d", r.Method, r.Target, r.Form, r.Minor,
		r.Authority, r.Path, r.Body, r.Length)
	for _, flag := range []struct {
		on   bool
		name string
	}{
		{r.KeepAlive, "keep"},
		{r.ExpectContinue, "expect"},
		{r.Upgrade, "upgrade"},
		{r.TETrailers, "trailers"},
	} {
		if flag.on {
			s.WriteString(" " + flag.name)
		}
	}
	return s.String() + describeFields(r.Fields)
}

func describeFields(fields []Field) string {
	var s strings.Builder
	for i := range fields {
		f := &fields[i]
		mark := "|"
		if f.Hop() {
			mark = "|~"
		}
		fmt.Fprintf(&s, "%s%s=%s", mark, f.Name, f.Value)
	}
	return s.String()
}

// parsed gives what one request says as text, or the kind of its refusal.
func parsed(in string) string {
	var r Request
	n, err := r.Parse([]byte(in), nil)
	switch {
	case err != nil:
		return err.Error()[len("http/1: "):]
	case n == 0:
		return "more"
	}
	return r.describe() + left(in, n)
}

// left says how many bytes of in stay behind the first n.
func left(in string, n int) string {
	if n == len(in) {
		return ""
	}
	return fmt.Sprintf(" and %d left", len(in)-n)
}

func TestRequestUnderstood(t *testing.T) {
	const host = "Host: h\r\n"
	for _, tc := range []struct{ name, in, want string }{
		{"plain", "GET /a?b HTTP/1.1\r\n" + host + "\r\n", "GET /a?b form=0 1.1 authority=h path=/a?b body=0/0 keep|Host=h"},
		{"rest is left", "GET / HTTP/1.1\r\n" + host + "\r\nGET ", "GET / form=0 1.1 authority=h path=/ body=0/0 keep|Host=h and 4 left"},
		{"leading CRLF", "\r\nGET / HTTP/1.1\r\n" + host + "\r\n", "GET / form=0 1.1 authority=h path=/ body=0/0 keep|Host=h"},
		{"1.0 has no host", "GET / HTTP/1.0\r\n\r\n", "GET / form=0 1.0 authority= path=/ body=0/0"},
		{"1.0 keep-alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", "GET / form=0 1.0 authority= path=/ body=0/0 keep|~Connection=Keep-Alive"},
		{"close wins", "GET / HTTP/1.1\r\n" + host + "Connection: keep-alive, close\r\n\r\n", "GET / form=0 1.1 authority=h path=/ body=0/0|Host=h|~Connection=keep-alive, close"},
		{"length", "POST / HTTP/1.1\r\n" + host + "Content-length:007\r\n\r\n", "POST / form=0 1.1 authority=h path=/ body=1/7 keep|Host=h|Content-length=007"},
		{"length 0", "POST / HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n", "POST / form=0 1.1 authority=h path=/ body=0/0 keep|Host=h|Content-Length=0"},
		{"chunked", "POST / HTTP/1.1\r\n" + host + "transfer-encoding: Chunked\r\n\r\n", "POST / form=0 1.1 authority=h path=/ body=2/0 keep|Host=h|~transfer-encoding=Chunked"},
		{"expect", "PUT / HTTP/1.1\r\n" + host + "Expect: 100-Continue\r\n\r\n", "PUT / form=0 1.1 authority=h path=/ body=0/0 keep expect|Host=h|Expect=100-Continue"},
		{"expect in 1.0", "PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n", "PUT / form=0 1.0 authority= path=/ body=0/0|Expect=100-continue"},
		{"upgrade", "GET / HTTP/1.1\r\n" + host + "Upgrade: ws\r\nConnection: x, Upgrade\r\nX: 1\r\n\r\n", "GET / form=0 1.1 authority=h path=/ body=0/0 keep upgrade|Host=h|~Upgrade=ws|~Connection=x, Upgrade|~X=1"},
		{"upgrade without option", "GET / HTTP/1.1\r\n" + host + "Upgrade: ws\r\n\r\n", "GET / form=0 1.1 authority=h path=/ body=0/0 keep|Host=h|~Upgrade=ws"},
		{"listed before and after", "GET / HTTP/1.1\r\nA: 1\r\nConnection: a,, b ,\r\nB: 2\r\nC:3\r\n" + host + "\r\n", "GET / form=0 1.1 authority=h path=/ body=0/0 keep|~A=1|~Connection=a,, b ,|~B=2|C=3|Host=h"},
		{"te", "GET / HTTP/1.1\r\n" + host + "TE: gzip, trailers\r\n\r\n", "GET / form=0 1.1 authority=h path=/ body=0/0 keep trailers|Host=h|~TE=gzip, trailers"},
		{"empty and spaced values", "GET / HTTP/1.1\r\n" + host + "A:\r\nB: \t \r\nC:\t x y\tz \t\r\n\r\n", "GET / form=0 1.1 authority=h path=/ body=0/0 keep|Host=h|A=|B=|C=x y\tz"},
		{"empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / form=0 1.1 authority= path=/ body=0/0 keep|Host="},
		{"past ascii", "GET /é HTTP/1.1\r\nHost: h:80\r\nX: é\r\n\r\n", "GET /é form=0 1.1 authority=h:80 path=/é body=0/0 keep|Host=h:80|X=é"},
		{"ipv6 host", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "GET / form=0 1.1 authority=[::1]:8080 path=/ body=0/0 keep|Host=[::1]:8080"},
		{"any method", "get-it / HTTP/1.0\r\n\r\n", "get-it / form=0 1.0 authority= path=/ body=0/0"},
		{"asterisk", "OPTIONS * HTTP/1.1\r\n" + host + "\r\n", "OPTIONS * form=3 1.1 authority=h path=* body=0/0 keep|Host=h"},
		{"absolute", "GET http://h/a?b HTTP/1.1\r\n" + host + "\r\n", "GET http://h/a?b form=1 1.1 authority=h path=/a?b body=0/0 keep|Host=h"},
		{"absolute, no path", "GET HTTP://H HTTP/1.1\r\n" + host + "\r\n", "GET HTTP://H form=1 1.1 authority=H path=/ body=0/0 keep|Host=h"},
		{"absolute, standard port", "GET https://h:443/ HTTP/1.1\r\n" + host + "\r\n", "GET https://h:443/ form=1 1.1 authority=h:443 path=/ body=0/0 keep|Host=h"},
		{"absolute in 1.0", "GET http://h:81/ HTTP/1.0\r\n\r\n", "GET http://h:81/ form=1 1.0 authority=h:81 path=/ body=0/0"},
		{"connect", "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", "CONNECT h:1 form=2 1.1 authority=h:1 path= body=0/0 keep|Host=h:1"},
		{"connect, host without port", "CONNECT h:1 HTTP/1.1\r\n" + host + "\r\n", "CONNECT h:1 form=2 1.1 authority=h:1 path= body=0/0 keep|Host=h"},
		{"incomplete", "GET / HTTP/1.1\r\n" + host + "\r", "more"},
		{"nothing", "", "more"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, parsed(tc.in)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRequestRefused(t *testing.T) {
	get := func(fields string) string { return "GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n" }
	line := func(line string) string { return line + "\r\nHost: h\r\n\r\n" }
	for _, tc := range []struct {
		name, in string
		want     ErrKind
	}{
		{"two leading CRLF", "\r\n\r\nGET / HTTP/1.1\r\n", ErrBadStartLine},
		{"one word", "QUIT\r\n", ErrBadStartLine},
		{"empty method", " / HTTP/1.1\r\n", ErrBadMethod},
		{"method no token", "GE(T / HTTP/1.1\r\n", ErrBadMethod},
		{"tab behind the method", "GET\t/ HTTP/1.1\r\n", ErrBadMethod},
		{"CR in the method", "GE\rT / HTTP/1.1\r\n", ErrBareCR},
		{"0.9", "GET /\r\n", ErrBadVersion},
		{"two spaces", "GET  / HTTP/1.1\r\n", ErrBadTarget},
		{"two spaces before the version", "GET /  HTTP/1.1\r\n", ErrBadTarget},
		{"space in the target", "GET /a b HTTP/1.1\r\n", ErrBadTarget},
		{"space at the end", "GET / HTTP/1.1 \r\n", ErrBadTarget},
		{"NUL in the target", "GET /\x00 HTTP/1.1\r\n", ErrBadTarget},
		{"DEL in the target", "GET /\x7f HTTP/1.1\r\n", ErrBadTarget},
		{"CR in the target", "GET /\rx HTTP/1.1\r\n", ErrBareCR},
		{"fragment", "GET /#x HTTP/1.1\r\n", ErrBadTarget},
		{"no form", "GET a/b HTTP/1.1\r\n", ErrBadTarget},
		{"asterisk with GET", "GET * HTTP/1.1\r\n", ErrBadTarget},
		{"authority with GET", "GET h:80 HTTP/1.1\r\n", ErrBadTarget},
		{"other scheme", "GET ftp://h/ HTTP/1.1\r\n", ErrBadTarget},
		{"user information", "GET http://u@h/ HTTP/1.1\r\n", ErrBadTarget},
		{"no host in the target", "GET http:/// HTTP/1.1\r\n", ErrBadTarget},
		{"query without a path", "GET http://h?x HTTP/1.1\r\n", ErrBadTarget},
		{"scheme alone", "GET http:// HTTP/1.1\r\n", ErrBadTarget},
		{"connect without a port", "CONNECT h HTTP/1.1\r\n", ErrBadTarget},
		{"connect with an empty port", "CONNECT h: HTTP/1.1\r\n", ErrBadTarget},
		{"connect to json", "CONNECT {} HTTP/1.1\r\n", ErrBadTarget},
		{"version 2", "PRI * HTTP/2.0\r\n", ErrUnsupportedVersion},
		{"version 2 of a path", "GET / HTTP/2.0\r\n", ErrUnsupportedVersion},
		{"version 1.2", "GET / HTTP/1.2\r\n", ErrUnsupportedVersion},
		{"version too long", "GET / HTTP/1.10\r\n", ErrBadVersion},
		{"version in small letters", "GET / http/1.1\r\n", ErrBadVersion},
		{"bare LF", "GET / HTTP/1.1\n", ErrBareLF},
		{"bare LF behind a field", "GET / HTTP/1.1\r\nHost: h\n", ErrBareLF},
		{"bare LF at the end", "GET / HTTP/1.1\r\nHost: h\r\n\n", ErrBareLF},
		{"bare CR in a value", get("A: b\rc\r\n"), ErrBareCR},
		{"bare CR before the CRLF", get("A: b\r\r\n"), ErrBareCR},
		{"bare CR in a name", get("A\r: b\r\n"), ErrBareCR},
		{"bare CR starts a line", get("\rA: b\r\n"), ErrBareCR},
		{"obsolete folding", get("A: b\r\n c\r\n"), ErrObsFold},
		{"obsolete folding by tab", get("A: b\r\n\tc: d\r\n"), ErrObsFold},
		{"space before the first field", "GET / HTTP/1.1\r\n Host: h\r\n\r\n", ErrObsFold},
		{"line of spaces", get("  \r\n"), ErrObsFold},
		{"space before the colon", get("A : b\r\n"), ErrSpaceBeforeColon},
		{"tab before the colon", get("A\t : b\r\n"), ErrSpaceBeforeColon},
		{"space in the name", get("A b: c\r\n"), ErrBadFieldName},
		{"no colon", get("A\r\n"), ErrBadFieldName},
		{"empty name", get(": b\r\n"), ErrBadFieldName},
		{"name past ascii", get("\xe9: b\r\n"), ErrBadFieldName},
		{"NUL in a value", get("A: b\x00\r\n"), ErrBadFieldValue},
		{"control byte in a long value", get("A: 12345678\x0112345678\r\n"), ErrBadFieldValue},
		{"DEL in a long value", get("A: 12345678\t12345678\x7f\r\n"), ErrBadFieldValue},
		{"no host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", ErrMissingHost},
		{"two hosts", get("Host: h\r\n"), ErrDuplicateHost},
		{"two hosts in 1.0", "GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n", ErrDuplicateHost},
		{"host with a path", "GET / HTTP/1.1\r\nHost: h/x\r\n\r\n", ErrBadHost},
		{"host with a space", "GET / HTTP/1.1\r\nHost: h x\r\n\r\n", ErrBadHost},
		{"host with a user", "GET / HTTP/1.1\r\nHost: u@h\r\n\r\n", ErrBadHost},
		{"host is a port", "GET / HTTP/1.1\r\nHost: :80\r\n\r\n", ErrBadHost},
		{"host port too high", "GET / HTTP/1.1\r\nHost: h:65536\r\n\r\n", ErrBadHost},
		{"host port too long", "GET / HTTP/1.1\r\nHost: h:000080\r\n\r\n", ErrBadHost},
		{"host of two ports", "GET / HTTP/1.1\r\nHost: h:1:2\r\n\r\n", ErrBadHost},
		{"host in open brackets", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", ErrBadHost},
		{"host no IPv6", "GET / HTTP/1.1\r\nHost: [1.2.3.4]\r\n\r\n", ErrBadHost},
		{"host with a zone", "GET / HTTP/1.1\r\nHost: [fe80::1%eth0]\r\n\r\n", ErrBadHost},
		{"host behind brackets", "GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n", ErrBadHost},
		{"another host", line("GET http://other/ HTTP/1.1"), ErrHostMismatch},
		{"another port", line("GET http://h:81/ HTTP/1.1"), ErrHostMismatch},
		{"port of the other scheme", line("GET http://h:443/ HTTP/1.1"), ErrHostMismatch},
		{"empty host, other target", "GET http://h/ HTTP/1.1\r\nHost:\r\n\r\n", ErrHostMismatch},
		{"connect to another", line("CONNECT other:80 HTTP/1.1"), ErrHostMismatch},
		{"connect to another port", "CONNECT h:1 HTTP/1.1\r\nHost: h:2\r\n\r\n", ErrHostMismatch},
		{"both lengths", get("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), ErrBothLengths},
		{"two lengths", get("Content-Length: 1\r\nContent-Length: 2\r\n"), ErrDuplicateLength},
		{"the same length twice", get("Content-Length: 1\r\nContent-Length: 1\r\n"), ErrDuplicateLength},
		{"list of lengths", get("Content-Length: 1, 1\r\n"), ErrBadLength},
		{"signed length", get("Content-Length: +1\r\n"), ErrBadLength},
		{"negative length", get("Content-Length: -1\r\n"), ErrBadLength},
		{"hexadecimal length", get("Content-Length: 0x1\r\n"), ErrBadLength},
		{"empty length", get("Content-Length:\r\n"), ErrBadLength},
		{"length overflows", get("Content-Length: 9223372036854775808\r\n"), ErrBadLength},
		{"two codings", get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), ErrDuplicateCoding},
		{"chunked twice", get("Transfer-Encoding: chunked, chunked\r\n"), ErrUnsupportedCoding},
		{"gzip", get("Transfer-Encoding: gzip, chunked\r\n"), ErrUnsupportedCoding},
		{"identity", get("Transfer-Encoding: identity\r\n"), ErrUnsupportedCoding},
		{"chunked with a vertical tab", get("Transfer-Encoding: \x0bchunked\r\n"), ErrBadFieldValue},
		{"quoted chunked", get("Transfer-Encoding: \"chunked\"\r\n"), ErrUnsupportedCoding},
		{"coding in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", ErrCodingVersion},
		{"connection lists host", get("Connection: close, Host\r\n"), ErrBadConnection},
		{"connection lists the length", get("Connection: content-length\r\n"), ErrBadConnection},
		{"too many options", get("Connection: " + strings.Repeat("a,", maxOptions+1) + "\r\n"), ErrBadConnection},
		{"connect with a body", "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\nContent-Length: 1\r\n\r\n", ErrConnectBody},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := parsed(tc.in); got != tc.want.String() {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	lim := &Limits{Head: 64, Line: 32, Fields: 2}
	for _, tc := range []struct {
		name, in string
		want     error
	}{
		{"line just fits", "GET /" + strings.Repeat("x", 32-16) + " HTTP/1.0\r\n\r\n", nil},
		{"line too long", "GET /" + strings.Repeat("x", 32-15) + " HTTP/1.0\r\n\r\n", Error{ErrLineTooLong}},
		{"endless line", strings.Repeat("x", 32), Error{ErrLineTooLong}},
		{"field just fits", "GET / HTTP/1.0\r\nA: " + strings.Repeat("x", 32-5) + "\r\n\r\n", nil},
		{"field too long", "GET / HTTP/1.0\r\nA: " + strings.Repeat("x", 32-4) + "\r\n\r\n", Error{ErrFieldTooLong}},
		{"two fields", "GET / HTTP/1.0\r\nA:\r\nB:\r\n\r\n", nil},
		{"three fields", "GET / HTTP/1.0\r\nA:\r\nB:\r\nC:\r\n", Error{ErrTooManyFields}},
		{"head just fits", "GET / HTTP/1.0\r\nA: " + strings.Repeat("x", 17) + "\r\nB: " + strings.Repeat("x", 19) + "\r\n\r\n", nil},
		{"head too large", "GET / HTTP/1.0\r\nA: " + strings.Repeat("x", 18) + "\r\nB: " + strings.Repeat("x", 19) + "\r\n\r\n", Error{ErrHeadTooLarge}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var r Request
			n, err := r.Parse([]byte(tc.in), lim)
			if !errors.Is(err, tc.want) || err == nil && n != len(tc.in) {
				t.Errorf("got %d of %d, %v; want %v", n, len(tc.in), err, tc.want)
			}
		})
	}
}

func TestDefaultLimits(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want ErrKind
	}{
		{"GET /" + strings.Repeat("x", DefaultLine), ErrLineTooLong},
		{"GET / HTTP/1.1\r\n" + strings.Repeat("A: "+strings.Repeat("x", DefaultLine/2)+"\r\n", 8), ErrHeadTooLarge},
		{"GET / HTTP/1.1\r\n" + strings.Repeat("A: b\r\n", DefaultFields+1), ErrTooManyFields},
	} {
		if got := parsed(tc.in); got != tc.want.String() {
			t.Errorf("got %s, want %s", got, tc.want)
		}
	}
}

// TestBufferMoves feeds a head in three parts, each from another buffer, and
// overwrites what was there before: nothing may point into it.
func TestBufferMoves(t *testing.T) {
	const head = "GET /path HTTP/1.1\r\nHost: example\r\nA: b\r\n\r\n"
	var r Request
	for _, upTo := range []int{22, 40, len(head)} {
		b := []byte(head[:upTo])
		n, err := r.Parse(b, nil)
		if err != nil || (n > 0) != (upTo == len(head)) {
			t.Fatalf("%d bytes: got %d, %v", upTo, n, err)
		}
		if upTo < len(head) {
			clear(b)
		}
	}
	want := "GET /path form=0 1.1 authority=example path=/path body=0/0 keep|Host=example|A=b"
	if got := r.describe(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestParserIsReused reads different heads one after another, one of them
// refused in the middle, and expects nothing of an earlier one to be left.
func TestParserIsReused(t *testing.T) {
	var r Request
	for _, in := range []string{
		"POST http://h/ HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nTE: trailers\r\nConnection: x\r\nX: y\r\nContent-Length: 3\r\n\r\n",
		"GET / HTTP/1.0\r\nA: b\r\n\r\n",
		"\r\nCONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: h\r\nA b: c\r\n\r\n",
		"GET / HTTP/1.0\r\n\r\n",
	} {
		want := parsed(in)
		n, err := r.Parse([]byte(in), nil)
		if err != nil {
			if err.Error() != "http/1: "+want {
				t.Errorf("got %v, want %s", err, want)
			}
			r.Reset()
			continue
		}
		if got := r.describe() + left(in, n); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
