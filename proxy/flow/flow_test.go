package flow

import (
	"errors"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/leno-mesh/leno/proxy/http1"
)

// TestHeadsSurviveLink parses HTTP/1 heads, carries them through the fields
// of a link, and writes them again: nothing may change.
func TestHeadsSurviveLink(t *testing.T) {
	heads := []string{
		"GET / HTTP/1.1\r\nHost: a.b\r\n\r\n",
		"GET /x?y=%20z HTTP/1.1\r\nHost: a.b:8080\r\nAccept: */*\r\nX-One: 1\r\nX-One: 2\r\n\r\n",
		"GET / HTTP/1.1\r\nAccept: text/html\r\nHost: a.b\r\n\r\n",
		"GET / HTTP/1.1\r\nAccept: text/html\r\nX-Last: y\r\nHost: a.b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.b\r\naccept: */*\r\nx-lower: 1\r\n\r\n",
		"GET / HTTP/1.1\r\nhost: a.b\r\naccept: */*\r\n\r\n",
		"GET / HTTP/1.1\r\nAccept: */*\r\nHOST: a.b\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: a.b\r\nSOAPAction: x\r\nsec-ch-ua: y\r\nX-OK: z\r\nTE-Xt: q\r\n\r\n",
		"GET /old HTTP/1.0\r\nUser-Agent: old\r\n\r\n",
		"GET /old HTTP/1.0\r\nHost: h\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: a.b\r\n\r\n",
		"GET http://a.b/path HTTP/1.1\r\nHost: a.b\r\n\r\n",
		"GET HTTP://a.b/path HTTP/1.1\r\nHost: a.b\r\n\r\n",
		"GET https://a.b:8443 HTTP/1.1\r\nHost: a.b:8443\r\n\r\n",
		"OPTIONS http://a.b HTTP/1.1\r\nHost: a.b\r\n\r\n",
		"POST /p HTTP/1.1\r\nHost: a.b\r\nContent-Length: 5\r\n\r\n",
		"PURGE /cache HTTP/1.1\r\nHost: a.b\r\nEmpty:\r\n\r\n",
	}
	for _, head := range heads {
		var p http1.Request
		n, err := p.Parse([]byte(head), nil)
		if err != nil || n != len(head) {
			t.Fatalf("%q: %d, %v", head, n, err)
		}
		var in, out Request
		in.FromHTTP1(&p)
		var m Message
		where := Where{Service: "s.n", Port: 80, Workload: "w"}.String()
		got, err := out.FromFields(asLinkCarries(m.Request(&in, where, "fallback")), in.Length == 0)
		if err != nil || got != where {
			t.Errorf("%q: %v", head, err)
			continue
		}
		if back := string(out.AppendHead(nil)) + "\r\n"; strings.ReplaceAll(back, ": \r\n", ":\r\n") != head {
			t.Errorf("head changed\n got %q\nwant %q", back, head)
		}
		if in.Length != out.Length || in.Version != out.Version || in.Head != out.Head {
			t.Errorf("%q: length %d version %d head %v", head, out.Length, out.Version, out.Head)
		}
	}
}

func TestAnswersSurviveLink(t *testing.T) {
	for _, head := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n",
		"HTTP/1.1 200 Fine\r\nContent-Length: 3\r\n\r\n",
		"HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\n",
		"HTTP/1.0 404 Not Found\r\nserver: x\r\nContent-Length: 3\r\n\r\n",
		"HTTP/1.1 599 What; = %41\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 1\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
	} {
		var p http1.Response
		if n, err := p.Parse([]byte(head), http1.VerbGet, nil); err != nil || n != len(head) {
			t.Fatalf("%q: %d, %v", head, n, err)
		}
		var in, out Response
		in.FromHTTP1(&p)
		var m Message
		if err := out.FromFields(asLinkCarries(m.Response(&in)), false); err != nil {
			t.Errorf("%q: %v", head, err)
			continue
		}
		if back := string(out.AppendHead(nil, min(uint8(out.Version), 1))) + "\r\n"; back != head {
			t.Errorf("head changed\n got %q\nwant %q", back, head)
		}
	}
}

// asLinkCarries copies fields as a link does: names in lower case.
func asLinkCarries(fields []Field) []Field {
	out := make([]Field, len(fields))
	for i, f := range fields {
		out[i] = Field{Name: strings.ToLower(strings.Clone(f.Name)), Value: strings.Clone(f.Value)}
	}
	return out
}

func TestWhere(t *testing.T) {
	good := []Where{
		{ModeHTTP, "payments.shop", 8080, "7f0c2a"},
		{ModeOpaque, "", 1, "w"},
		{ModeUndecided, "a.b", 65535, "x-y"},
	}
	for _, w := range good {
		got, err := ParseWhere(w.String())
		if err != nil || got != w {
			t.Errorf("%q: %v, %v", w.String(), got, err)
		}
	}
	if _, err := ParseWhere("v=9;m=http;new=1;p=80;w=x"); err != nil {
		t.Errorf("a newer header is refused: %v", err)
	}
	for _, s := range []string{
		"", "v=1", "m=http;p=80", "m=http;w=x", "p=80;w=x", "m=odd;p=80;w=x", "m=http;p=0;w=x", "m=http;p=65536;w=x",
		"m=http;p=80;w=", "m=http;m=http;p=80;w=x", "m=http;p=80;p=81;w=x", "m=http;p=80;w=x;junk", "m=http;p=+80;w=x",
	} {
		if w, err := ParseWhere(s); err == nil {
			t.Errorf("%q was taken as %v", s, w)
		}
	}
}

func FuzzWhere(f *testing.F) {
	f.Add("v=1;m=http;s=payments.shop;p=8080;w=7f0c2a")
	f.Fuzz(func(t *testing.T, s string) {
		w, err := ParseWhere(s)
		if err != nil {
			return
		}
		again, err := ParseWhere(w.String())
		if err != nil || again != w {
			t.Errorf("%q: %v became %v, %v", s, w, again, err)
		}
	})
}

// FuzzRequestFields takes what a peer's proxy may send: whatever is accepted
// must become one well-formed HTTP/1 head, and the same one.
func FuzzRequestFields(f *testing.F) {
	f.Add("GET", "/", "a.b", "f=absolute;s=HTTPS;p=-;o=HOST", "soapaction", "x", "accept", "*/*")
	f.Add("GET", "/", "a.b", "v=1.0;h=2;n=0:SOAPAction", "soapaction", "x", "accept", "*/*")
	f.Fuzz(func(t *testing.T, method, path, authority, form, n1, v1, n2, v2 string) {
		fields := []Field{
			{Name: ":method", Value: method},
			{Name: ":scheme", Value: "http"},
			{Name: ":authority", Value: authority},
			{Name: ":path", Value: path},
			{Name: FieldLink, Value: "w"},
			{Name: FieldForm, Value: form},
			{Name: n1, Value: v1},
			{Name: n2, Value: v2},
		}
		var r Request
		if _, err := r.FromFields(fields, true); err != nil {
			return
		}
		head := string(r.AppendHead(nil)) + "\r\n"
		var p http1.Request
		k, err := p.Parse([]byte(head), nil)
		if err == nil && k != len(head) {
			t.Fatalf("%q ends after %d bytes", head, k)
		}
		if err != nil {
			return // the application refuses it by itself
		}
		if string(p.Method) != method {
			t.Errorf("method %q became %q", method, p.Method)
		}
	})
}

func TestReasonsAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Reasons() {
		row := r.Row()
		if row.Code == "" || row.What == "" || row.Next == "" || row.Status < 400 || seen[row.Code] {
			t.Errorf("reason %d: %+v", r, row)
		}
		seen[row.Code] = true
		if ParseReason(row.Code) != r {
			t.Errorf("%s is not found by its code", row.Code)
		}
	}
	if ParseReason("of-the-future") != PeerReset {
		t.Error("an unknown code")
	}
}

// TestBodies reads bodies in every framing, one byte at a time.
func TestBodies(t *testing.T) {
	tests := []struct {
		name   string
		kind   http1.Body
		length int64
		wire   string
		want   string
		err    error
		fields []Field
	}{
		{"none", http1.BodyNone, 0, "", "", nil, nil},
		{"length", http1.BodyLength, 5, "hello", "hello", nil, nil},
		{"short", http1.BodyLength, 6, "hello", "hello", io.ErrUnexpectedEOF, nil},
		{"chunked", http1.BodyChunked, 0, "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", "hello!", nil, nil},
		{"trailers", http1.BodyChunked, 0, "1\r\nx\r\n0\r\nX-Sum: 9\r\nleno-x: 1\r\n\r\n", "x", nil, []Field{{Name: "X-Sum", Value: "9"}}},
		{"cut chunk", http1.BodyChunked, 0, "5\r\nhel", "hel", io.ErrUnexpectedEOF, nil},
		{"no last chunk", http1.BodyChunked, 0, "1\r\nx\r\n", "x", io.ErrUnexpectedEOF, nil},
		{"until close", http1.BodyUntilClose, 0, "anything", "anything", nil, nil},
	}
	for _, tt := range tests {
		for _, step := range []int{1, 3, 1000} {
			a, b := net.Pipe()
			go func() {
				for s := tt.wire; s != ""; {
					n := min(step, len(s))
					_, _ = b.Write([]byte(s[:n]))
					s = s[n:]
				}
				b.Close()
			}()
			var body HTTP1Body
			body.Start(NewConn(a, &Buffers{}), tt.kind, tt.length)
			var got []byte
			var err error
			for err == nil {
				var p []byte
				p, err = body.Next()
				got = append(got, p...)
			}
			if err == io.EOF {
				err = nil
			}
			if string(got) != tt.want || err != tt.err {
				t.Errorf("%s by %d: %q, %v; want %q, %v", tt.name, step, got, err, tt.want, tt.err)
			}
			if d := cmp.Diff(tt.fields, body.Trailers(), cmpopts.IgnoreUnexported(Field{}), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("%s: trailers %s", tt.name, d)
			}
			a.Close()
			b.Close()
		}
	}
}

// TestWriterHoldsLength checks that a body can be neither longer nor shorter
// than its head says: what is over would be read as another message.
func TestWriterHoldsLength(t *testing.T) {
	a, b := net.Pipe()
	go func() { _, _ = io.Copy(io.Discard, b) }()
	defer a.Close()
	defer b.Close()
	c := NewConn(a, &Buffers{})
	var w HTTP1Writer
	w.Start(c, http1.BodyLength, 3)
	if err := w.Write([]byte("abcd"), true); err != ErrLength {
		t.Errorf("too long: %v", err)
	}
	w.Start(c, http1.BodyLength, 3)
	if err := w.Write([]byte("ab"), true); err != ErrLength {
		t.Errorf("too short: %v", err)
	}
	w.Start(c, http1.BodyNone, 0)
	if err := w.Write([]byte("a"), false); err != ErrLength {
		t.Errorf("none: %v", err)
	}
	w.Start(c, http1.BodyLength, 3)
	if err := w.Write([]byte("abc"), true); err != nil {
		t.Errorf("right: %v", err)
	}
}

// TestHostileTrailers writes trailers as a hostile peer may send them on a
// link: none may begin another message or change this one's framing.
func TestHostileTrailers(t *testing.T) {
	tests := []struct {
		field Field
		want  string
		err   error
	}{
		{Field{Name: "x-sum", Value: "9"}, "0\r\nx-sum: 9\r\n\r\n", nil},
		{Field{Name: "leno-later", Value: "1"}, "0\r\n\r\n", nil},
		{Field{Name: "x", Value: "a\r\n\r\nGET /evil HTTP/1.1"}, "", ErrTrailer},
		{Field{Name: "x\r\ny", Value: "a"}, "", ErrTrailer},
		{Field{Name: "x: y", Value: "a"}, "", ErrTrailer},
		{Field{Name: "", Value: "a"}, "", ErrTrailer},
		{Field{Name: "content-length", Value: "5"}, "", ErrTrailer},
		{Field{Name: "transfer-encoding", Value: "chunked"}, "", ErrTrailer},
		{Field{Name: "host", Value: "evil"}, "", ErrTrailer},
		{Field{Name: "connection", Value: "close"}, "", ErrTrailer},
	}
	for _, tt := range tests {
		a, b := net.Pipe()
		got := make(chan string)
		go func() {
			all, _ := io.ReadAll(b)
			got <- string(all)
		}()
		var w HTTP1Writer
		w.Start(NewConn(a, &Buffers{}), http1.BodyChunked, 0)
		if err := w.Finish([]Field{tt.field}); !errors.Is(err, tt.err) {
			t.Errorf("%q: %v, want %v", tt.field.Name, err, tt.err)
		}
		a.Close()
		if s := <-got; s != tt.want {
			t.Errorf("%q wrote %q, want %q", tt.field.Name, s, tt.want)
		}
		b.Close()
	}
}

// TestLengthAgainstEnd refuses a request that says a length and ends with its
// head: the application would read the next request as the body.
func TestLengthAgainstEnd(t *testing.T) {
	head := func(length string) []Field {
		return []Field{
			{Name: ":method", Value: "POST"},
			{Name: ":scheme", Value: "http"},
			{Name: ":authority", Value: "a"},
			{Name: ":path", Value: "/"},
			{Name: FieldLink, Value: "w"},
			{Name: "content-length", Value: length},
		}
	}
	var r Request
	if _, err := r.FromFields(head("5"), true); !errors.Is(err, ErrLength) {
		t.Errorf("five bytes that never come: %v", err)
	}
	if _, err := r.FromFields(head("0"), true); err != nil || r.Length != 0 {
		t.Errorf("none: %v", err)
	}
	if _, err := r.FromFields(head("5"), false); err != nil || r.Length != 5 {
		t.Errorf("five to come: %v", err)
	}
}

// TestOldBodies has a request of HTTP/1.0 say how long its body is: what it
// becomes knows no chunks.
func TestOldBodies(t *testing.T) {
	head := []Field{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "http"},
		{Name: ":path", Value: "/"},
		{Name: ":authority", Value: "a"},
		{Name: FieldLink, Value: "v=1;m=http;p=80;w=x"},
		{Name: FieldForm, Value: "v=1.0"},
	}
	var r Request
	if _, err := r.FromFields(head, false); !errors.Is(err, errEndless) {
		t.Errorf("a body without a length: %v", err)
	}
	if _, err := r.FromFields(append(head, Field{Name: "content-length", Value: "5"}), false); err != nil {
		t.Errorf("a body with one: %v", err)
	}
	if _, err := r.FromFields(head, true); err != nil {
		t.Errorf("none: %v", err)
	}
}

// TestTwice has a field of Leno's own come once or not at all: of two, two
// readers could believe different ones.
func TestTwice(t *testing.T) {
	request := []Field{
		{Name: ":method", Value: "GET"},
		{Name: ":scheme", Value: "http"},
		{Name: ":authority", Value: "a"},
		{Name: ":path", Value: "/"},
		{Name: FieldLink, Value: "v=1"},
		{Name: FieldForm, Value: ""},
	}
	response := []Field{
		{Name: ":status", Value: "200"},
		{Name: FieldForm, Value: ""},
		{Name: FieldAnswer, Value: AnswerConnected},
		{Name: FieldReason, Value: "x"},
	}
	var q Request
	var p Response
	if _, err := q.FromFields(request, true); err != nil {
		t.Error(err)
	}
	if err := p.FromFields(response, true); err != nil {
		t.Error(err)
	}
	for _, name := range []string{FieldLink, FieldForm} {
		if _, err := q.FromFields(append(request[:len(request):len(request)], Field{Name: name, Value: "v=1;w=b"}), true); err == nil {
			t.Errorf("%s came twice and was taken", name)
		}
	}
	for _, name := range []string{FieldForm, FieldAnswer, FieldReason} {
		if err := p.FromFields(append(response[:len(response):len(response)], Field{Name: name, Value: "y"}), true); err == nil {
			t.Errorf("%s came twice and was taken", name)
		}
	}
}

// TestGRPC tells calls of gRPC from what only looks like them.
func TestGRPC(t *testing.T) {
	for value, want := range map[string]bool{
		"application/grpc": true, "application/grpc+proto": true, "application/grpc;charset=x": true,
		"application/grpc ; x": true, "application/grpc-web": false, "application/grpc-web+proto": false,
		"application/grpc-web-text": false, "application/grpcx": false, "application/json": false, "": false,
	} {
		r := Request{Fields: []Field{{Name: "Content-Type", Value: value}}}
		if r.GRPC() != want {
			t.Errorf("%q: %v", value, !want)
		}
	}
}
