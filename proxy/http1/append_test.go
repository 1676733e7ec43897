package http1

import "testing"

func TestAppend(t *testing.T) {
	var b []byte
	b = AppendRequestLine(b, "GET", []byte("/a"), 1)
	b = AppendField(b, []byte("Host"), "h")
	b = AppendInt(b, "Content-Length", 12)
	b = AppendEnd(b)
	b = AppendStatusLine(b, 0, 200, "")
	b = AppendStatusLine(b, 1, 404, []byte("Not Found"))
	b = AppendEnd(AppendChunkHeader(b, 255))
	b = AppendEnd(AppendLastChunk(b))
	const want = "GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\n\r\n" +
		"HTTP/1.0 200 \r\nHTTP/1.1 404 Not Found\r\nff\r\n\r\n0\r\n\r\n"
	if string(b) != want {
		t.Errorf("got %q, want %q", b, want)
	}
}

func TestValid(t *testing.T) {
	for _, tc := range []struct {
		in                  string
		token, text, target bool
	}{
		{"", false, true, false},
		{"a-B_1", true, true, true},
		{"a b", false, true, false},
		{"/a?b", false, true, true},
		{"/a#b", false, true, false},
		{"a\tb", false, true, false},
		{"a\r\nb", false, false, false},
		{"é", false, true, true},
	} {
		if ValidToken(tc.in) != tc.token || ValidText(tc.in) != tc.text || ValidTarget(tc.in) != tc.target {
			t.Errorf("%q: got %t %t %t", tc.in, ValidToken(tc.in), ValidText(tc.in), ValidTarget(tc.in))
		}
	}
}

func TestKindOf(t *testing.T) {
	kinds := map[string]Kind{
		"TE": KindTE, "Host": KindHost, "dATE": KindDate, "Expect": KindExpect, "Upgrade": KindUpgrade,
		"Trailer": KindTrailer, "CONNECTION": KindConnection, "keep-alive": KindKeepAlive,
		"Authorization": KindAuthorization, "Content-Length": KindContentLength,
		"Proxy-Connection": KindProxyConnection, "WWW-Authenticate": KindWWWAuthenticate,
		"Transfer-Encoding": KindTransferEncoding, "Proxy-Authenticate": KindProxyAuthenticate,
		"Proxy-Authorization": KindProxyAuthorization, "Leno-Reason": KindLeno, "leno-x": KindLeno,
		"leno-": KindOther, "lenox": KindOther, "Cookie": KindOther, "Hos": KindOther, "Hose": KindOther,
		"Keep_Alive": KindOther, "": KindOther,
	}
	for name, want := range kinds {
		if got := KindOf(name); got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
}

func TestErrorsNamed(t *testing.T) {
	seen := map[string]bool{}
	for k := ErrBadStartLine; k < errKinds; k++ {
		if s := k.String(); s == "" || seen[s] || k.Status() < 400 {
			t.Errorf("kind %d: text %q, status %d", k, s, k.Status())
		} else {
			seen[s] = true
		}
	}
}
