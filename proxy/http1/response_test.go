package http1

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func (r *Response) describe() string {
	var s strings.Builder
	fmt.Fprintf(&s, "1.%d %d %q body=%d/%d", r.Minor, r.Status, r.Reason, r.Body, r.Length)
	for _, flag := range []struct {
		on   bool
		name string
	}{
		{r.KeepAlive, "keep"},
		{r.Chunked, "chunked"},
		{r.Upgrade, "upgrade"},
		{r.Tunnel, "tunnel"},
		{r.Interim(), "interim"},
	} {
		if flag.on {
			s.WriteString(" " + flag.name)
		}
	}
	if r.KeepAliveTimeout != 0 {
		fmt.Fprintf(&s, " timeout=%s", r.KeepAliveTimeout)
	}
	return s.String() + describeFields(r.Fields)
}

// answered is parsed for responses.
func answered(in string, verb Verb) string {
	var r Response
	n, err := r.Parse([]byte(in), verb, nil)
	switch {
	case err != nil:
		return err.Error()[len("http/1: "):]
	case n == 0:
		return "more"
	}
	return r.describe() + left(in, n)
}

func TestResponse(t *testing.T) {
	const ok, end = "HTTP/1.1 200 OK\r\n", "\r\n"
	const length, chunked = "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"
	for _, tc := range []struct {
		name string
		verb Verb
		in   string
		want string
	}{
		{"length", VerbGet, ok + length + end + "hello", `1.1 200 "OK" body=1/5 keep|Content-Length=5 and 5 left`},
		{"chunked", VerbGet, ok + chunked + end, `1.1 200 "OK" body=2/0 keep chunked|~Transfer-Encoding=chunked`},
		{"length 0", VerbGet, ok + "Content-Length: 0\r\n" + end, `1.1 200 "OK" body=0/0 keep|Content-Length=0`},
		{"until close", VerbGet, ok + end, `1.1 200 "OK" body=3/0`},
		{"until close in 1.0", VerbGet, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", `1.0 200 "OK" body=3/0|~Connection=keep-alive`},
		{"length in 1.0", VerbGet, "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + length + end, `1.0 200 "OK" body=1/5 keep|~Connection=keep-alive|Content-Length=5`},
		{"to HEAD", VerbHead, ok + length + end, `1.1 200 "OK" body=0/0 keep|Content-Length=5`},
		{"chunked to HEAD", VerbHead, ok + chunked + end, `1.1 200 "OK" body=0/0 keep chunked|~Transfer-Encoding=chunked`},
		{"to CONNECT", VerbConnect, ok + length + end, `1.1 200 "OK" body=0/0 keep tunnel|Content-Length=5`},
		{"refusal of CONNECT", VerbConnect, "HTTP/1.1 403 No\r\n" + length + end, `1.1 403 "No" body=1/5 keep|Content-Length=5`},
		{"204", VerbGet, "HTTP/1.1 204 No Content\r\n" + end, `1.1 204 "No Content" body=0/0 keep`},
		{"304", VerbGet, "HTTP/1.1 304 Not Modified\r\n" + length + end, `1.1 304 "Not Modified" body=0/0 keep|Content-Length=5`},
		{"100", VerbPost, "HTTP/1.1 100 Continue\r\n" + end + ok, `1.1 100 "Continue" body=0/0 keep interim and 17 left`},
		{"103", VerbGet, "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", `1.1 103 "Early Hints" body=0/0 keep interim|Link=x`},
		{"101", VerbGet, "HTTP/1.1 101 Switching\r\nUpgrade: ws\r\nConnection: upgrade\r\n\r\n", `1.1 101 "Switching" body=0/0 keep upgrade|~Upgrade=ws|~Connection=upgrade`},
		{"close", VerbGet, ok + length + "Connection: close\r\n" + end, `1.1 200 "OK" body=1/5|Content-Length=5|~Connection=close`},
		{"reason of spaces and past ascii", VerbGet, "HTTP/1.1 404  né \r\n" + length + end, `1.1 404 " né " body=1/5 keep|Content-Length=5`},
		{"no reason", VerbGet, "HTTP/1.1 200 \r\n" + length + end, `1.1 200 "" body=1/5 keep|Content-Length=5`},
		{"no reason, no space", VerbGet, "HTTP/1.1 200\r\n" + length + end, `1.1 200 "" body=1/5 keep|Content-Length=5`},
		{"999", VerbGet, "HTTP/1.1 999 X\r\n" + length + end, `1.1 999 "X" body=1/5 keep|Content-Length=5`},
		{"timeout", VerbGet, ok + length + "Keep-Alive: max=100, Timeout=5\r\n" + end, `1.1 200 "OK" body=1/5 keep timeout=5s|Content-Length=5|~Keep-Alive=max=100, Timeout=5`},
		{"timeout 0", VerbGet, ok + length + "Keep-Alive: timeout=0\r\n" + end, `1.1 200 "OK" body=1/5|Content-Length=5|~Keep-Alive=timeout=0`},
		{"endless timeout", VerbGet, ok + length + "Keep-Alive: timeout=9223372036854775807\r\n" + end, `1.1 200 "OK" body=1/5 keep timeout=24h0m0s|Content-Length=5|~Keep-Alive=timeout=9223372036854775807`},
		{"no timeout", VerbGet, ok + length + "Keep-Alive: timeout=, timeout=x, 5\r\n" + end, `1.1 200 "OK" body=1/5 keep|Content-Length=5|~Keep-Alive=timeout=, timeout=x, 5`},
		{"incomplete", VerbGet, ok + length, "more"},

		{"leading CRLF", VerbGet, "\r\n" + ok, "bad-start-line"},
		{"status of two digits", VerbGet, "HTTP/1.1 20 OK\r\n", "bad-status"},
		{"status of four digits", VerbGet, "HTTP/1.1 2000\r\n", "bad-status"},
		{"status 099", VerbGet, "HTTP/1.1 099 X\r\n", "bad-status"},
		{"signed status", VerbGet, "HTTP/1.1 +20 X\r\n", "bad-status"},
		{"two spaces", VerbGet, "HTTP/1.1  200 OK\r\n", "bad-status"},
		{"no space", VerbGet, "HTTP/1.1\t200 OK\r\n", "bad-start-line"},
		{"other protocol", VerbGet, "ICY 200 OK\r\n", "bad-start-line"},
		{"other version", VerbGet, "HTTP/2.0 200 OK\r\n", "unsupported-version"},
		{"bad version", VerbGet, "HTTP/1,1 200 OK\r\n", "bad-version"},
		{"CR in the reason", VerbGet, "HTTP/1.1 200 O\rK\r\n", "bare-cr"},
		{"NUL in the reason", VerbGet, "HTTP/1.1 200 O\x00K\r\n", "bad-start-line"},
		{"both lengths", VerbGet, ok + length + chunked + end, "both-lengths"},
		{"both lengths to HEAD", VerbHead, ok + length + chunked + end, "both-lengths"},
		{"two lengths", VerbGet, ok + length + length + end, "duplicate-length"},
		{"gzip", VerbGet, ok + "Transfer-Encoding: gzip\r\n" + end, "unsupported-transfer-encoding"},
		{"chunked in 1.0", VerbGet, "HTTP/1.0 200 OK\r\n" + chunked + end, "transfer-encoding-in-1.0"},
		{"obsolete folding", VerbGet, ok + "A: b\r\n c\r\n" + end, "obs-fold"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, answered(tc.in, tc.verb)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
