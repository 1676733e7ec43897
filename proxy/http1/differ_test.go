package http1

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// maxFuzz keeps inputs below the bounds that net/http has and Leno has not.
const maxFuzz = 4 << 10

// requestSeeds are messages that exercise different parts of the parser; the
// ones that fuzzing found are in testdata.
var requestSeeds = []string{
	"GET /a?b HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nConnection: keep-alive, x\r\nX: y\r\n\r\nGET / HTTP/1.1\r\n",
	"POST /%zz HTTP/1.1\r\nHost: h:80\r\nContent-Length: 5\r\n\r\nhello!",
	"POST http://h/ HTTP/1.1\r\nHost: H:80\r\nTransfer-Encoding: chunked\r\nTrailer: A\r\n\r\n5;x=y\r\nhello\r\n0\r\nA: b\r\n\r\nrest",
	"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n\x16\x03\x01",
	"\r\nOPTIONS * HTTP/1.0\r\nConnection: Keep-Alive\r\nExpect: 100-continue\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: [::1]:8080\r\nA : b\r\n c\r\n\rd\n\r\n",
	"PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\n\r\n",
}

// FuzzRequest holds three things. A head means the same however it was split. A
// head that is written again is read the same. And what Leno accepts net/http
// accepts too, and understands the same fields, host, body and end of message;
// the other way round does not hold, Leno is stricter.
//
// Where Leno is meant to accept more: one CRLF before the request line, which
// RFC 9112, section 2.2 asks for and ReadRequest leaves to its caller; targets
// that net/url does not parse, such as a percent sign that escapes nothing,
// since the application may; and Trailer fields that announce what may not be a
// trailer, since only such a trailer itself does harm, and is refused.
func FuzzRequest(f *testing.F) {
	for _, in := range requestSeeds {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > maxFuzz {
			return
		}
		var r Request
		n, err := r.Parse(in, nil)
		sameInPieces(t, in, n, err, &r, func(r *Request, b []byte) (int, error) { return r.Parse(b, nil) })
		if err != nil || n == 0 {
			return
		}
		sameWhenWritten(t, &r)
		src := bufio.NewReaderSize(bytes.NewReader(bytes.TrimPrefix(in, []byte("\r\n"))), 2*maxFuzz)
		req, err := http.ReadRequest(src)
		var bad *url.Error
		switch {
		case errors.As(err, &bad):
			return
		case err != nil && Find(r.Fields, KindTrailer) != nil && strings.Contains(err.Error(), "trailer key"):
			return
		case err != nil:
			t.Fatalf("net/http refuses: %v", err)
		}
		equal(t, "method", req.Method, string(r.Method))
		equal(t, "target", req.RequestURI, string(r.Target))
		equal(t, "version", req.ProtoMinor, int(r.Minor))
		equal(t, "host", req.Host, string(r.Authority))
		equal(t, "keep-alive", !req.Close, r.KeepAlive)
		sameFields(t, r.Fields, req.Header)
		sameBody(t, in[n:], r.Body, r.Length, req.Body, src, &req.Trailer)
	})
}

// FuzzResponse is FuzzRequest for responses. There is nothing that Leno alone
// accepts, but net/http does not know that a 2xx to CONNECT has no body.
func FuzzResponse(f *testing.F) {
	for i, in := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nKeep-Alive: timeout=5\r\n\r\nhelloHTTP/1.1",
		"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\nrest",
		"HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\n\r\nuntil the end",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n\x00",
	} {
		f.Add([]byte(in), i%2 == 1)
	}
	f.Fuzz(func(t *testing.T, in []byte, head bool) {
		if len(in) > maxFuzz {
			return
		}
		verb, method := VerbGet, "GET"
		if head {
			verb, method = VerbHead, "HEAD"
		}
		var r Response
		n, err := r.Parse(in, verb, nil)
		sameInPieces(t, in, n, err, &r, func(r *Response, b []byte) (int, error) { return r.Parse(b, verb, nil) })
		if err != nil || n == 0 {
			return
		}
		src := bufio.NewReaderSize(bytes.NewReader(in), 2*maxFuzz)
		resp, err := http.ReadResponse(src, &http.Request{Method: method})
		if err != nil {
			if Find(r.Fields, KindTrailer) != nil && strings.Contains(err.Error(), "trailer key") {
				return
			}
			t.Fatalf("net/http refuses: %v", err)
		}
		equal(t, "status", resp.StatusCode, r.Status)
		equal(t, "version", resp.ProtoMinor, int(r.Minor))
		if r.KeepAlive && resp.Close {
			t.Fatal("net/http would close")
		}
		sameFields(t, r.Fields, resp.Header)
		sameBody(t, in[n:], r.Body, r.Length, resp.Body, src, &resp.Trailer)
	})
}

// FuzzChunks holds that a chunked body that Leno accepts is the same to
// net/http, and that it does not matter how it was split. There is no deliberate
// difference within maxFuzz bytes.
func FuzzChunks(f *testing.F) {
	for _, in := range []string{
		"5\r\nhello\r\n1;a=b\r\n!\r\n0\r\n\r\nrest", "0\r\nA: b\r\n\r\n", "A\r\n0123456789\r\n00\r\n\r\n",
		"5 \r\nhello\r\n", "1\r\nxy\r\n", "ffffffffffffffff\r\n", "7fffffffffffffff;\r\nx", "\n", "1\n\nx\r\n0\r\n\r\n",
	} {
		f.Add([]byte(in))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > maxFuzz {
			return
		}
		var whole, pieces Chunks
		want := unchunk(&whole, string(in), max(1, len(in)))
		for _, step := range []int{1, 3} {
			pieces.Reset()
			equal(t, "pieces", unchunk(&pieces, string(in), step), want)
		}
		if !whole.Done() {
			return
		}
		body, end, _ := decode(in)
		src := bufio.NewReader(bytes.NewReader(in))
		theirs, err := io.ReadAll(httputil.NewChunkedReader(src))
		if err != nil {
			t.Fatalf("net/http refuses: %v", err)
		}
		equal(t, "body", string(theirs), string(body))
		rest, _ := io.ReadAll(src) // theirs leaves the trailers to its caller
		if !bytes.HasSuffix(rest, in[end:]) {
			t.Fatalf("net/http stops before %q, Leno before %q", rest, in[end:])
		}
	})
}

// parser is a head parser of either kind.
type parser[T any] interface {
	*T
	describe() string
}

// sameInPieces parses in with one and with three bytes more at each call, from
// buffers that move, and expects what came of the whole.
func sameInPieces[T any, P parser[T]](t *testing.T, in []byte, n int, err error, whole P, parse func(P, []byte) (int, error)) {
	t.Helper()
	for _, step := range []int{1, 3} {
		r := P(new(T))
		var got int
		var gotErr error
		for upTo := 0; upTo < len(in) && got == 0 && gotErr == nil; {
			upTo = min(len(in), upTo+step)
			got, gotErr = parse(r, bytes.Clone(in[:upTo]))
		}
		if got != n || !errors.Is(gotErr, err) {
			t.Fatalf("%d bytes at a time: %d, %v; whole: %d, %v", step, got, gotErr, n, err)
		}
		if n > 0 {
			equal(t, "meaning", r.describe(), whole.describe())
		}
	}
}

// sameWhenWritten writes a request and reads it again.
func sameWhenWritten(t *testing.T, r *Request) {
	t.Helper()
	out := AppendRequestLine(nil, r.Method, r.Target, r.Minor)
	for i := range r.Fields {
		out = AppendField(out, r.Fields[i].Name, r.Fields[i].Value)
	}
	out = AppendEnd(out)
	var again Request
	n, err := again.Parse(out, nil)
	if n != len(out) || err != nil {
		t.Fatalf("written as %q: %d, %v", out, n, err)
	}
	equal(t, "meaning when written", again.describe(), r.describe())
}

// sameFields compares field by field what net/http leaves in its header.
func sameFields(t *testing.T, ours []Field, theirs http.Header) {
	t.Helper()
	values := map[string][]string{}
	for _, f := range ours {
		switch f.Kind {
		case KindHost, KindTransferEncoding, KindTrailer, KindContentLength: // taken out there
			continue
		}
		key := textproto.CanonicalMIMEHeaderKey(string(f.Name))
		values[key] = append(values[key], string(f.Value))
	}
	for key, want := range values {
		if !slices.Equal(theirs[key], want) {
			t.Fatalf("%s: net/http has %q, Leno %q", key, theirs[key], want)
		}
	}
	for key, theirValues := range theirs {
		if len(theirValues) == 0 {
			continue // a trailer that was announced and did not come
		}
		switch key {
		case "Content-Length", "Trailer", "Cache-Control": // the last is made up there out of Pragma
			continue
		}
		if values[key] == nil {
			t.Fatalf("%s: only net/http has it", key)
		}
	}
}

// sameBody reads the body both ways, if Leno accepts it, and compares it, its
// trailers, and where it ends.
func sameBody(t *testing.T, in []byte, kind Body, length int64, theirs io.Reader, src io.Reader, theirTrailer *http.Header) {
	t.Helper()
	var body []byte
	var trailers []Field
	switch kind {
	case BodyLength:
		if length > int64(len(in)) {
			return
		}
		body, in = in[:length], in[length:]
	case BodyChunked:
		n := 0
		if body, n, trailers = decode(in); n == 0 {
			return
		}
		in = in[n:]
	case BodyUntilClose:
		body, in = in, nil
	}
	got, err := io.ReadAll(theirs)
	if err != nil {
		t.Fatalf("net/http refuses the body: %v", err)
	}
	equal(t, "body", string(got), string(body))
	rest, _ := io.ReadAll(src)
	equal(t, "rest", string(rest), string(in))
	if len(trailers) > 0 {
		sameFields(t, trailers, *theirTrailer)
	}
}

// decode reads a whole chunked body; n is 0 when it is not complete or refused.
func decode(in []byte) (body []byte, n int, trailers []Field) {
	var c Chunks
	for {
		data, took, err := c.Next(in[n:])
		n += took
		body = append(body, data...)
		switch {
		case c.Done():
			return body, n, c.Trailers()
		case err != nil, took == 0:
			return nil, 0, nil
		}
	}
}

func equal[T any](t *testing.T, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatalf("%s: %s", what, fmt.Sprint(diff))
	}
}
