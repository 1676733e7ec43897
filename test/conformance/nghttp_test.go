package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

// serveNghttpd starts nghttp2's server, which speaks HTTP/2 only.
func serveNghttpd(t *testing.T, at harness.Place, port uint16) func(*testing.T) {
	t.Helper()
	dir := harness.Dir(t, 0)
	for name, b := range map[string][]byte{"index.html": []byte("hello\n"), "large": noise(largeSize)} {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	harness.Start(t, at, harness.Program{Name: "nghttpd", Args: []string{
		harness.Need(t, "nghttpd", "nghttp2-server"), "--no-tls", "-a", at.Addr.String(), "-d", dir, "--echo-upload", "--trailer", "x-sum: 42", fmt.Sprint(port),
	}})
	return nil
}

// judgeNghttp asks with nghttp, which is strict about what it gets.
func judgeNghttp(t *testing.T, c *court) {
	nghttp := harness.Need(t, "nghttp", "nghttp2-client")
	small := filepath.Join(harness.Dir(t, 0), "small")
	if err := os.WriteFile(small, noise(100_000), 0o600); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		name, path string
		args       []string
		wants      []string
		bytes      int // of the answers' bodies, where they are written out
	}{
		{"get", "/", []string{"-v"}, []string{":status: 200", "x-sum: 42"}, 0},
		{"missing", "/missing", []string{"-v"}, []string{":status: 404"}, 0},
		{"upload echoed", "/", []string{"-d", small}, nil, 100_000},
		{"upload with trailers", "/", []string{"-d", small, "--trailer", "x-more: 1"}, nil, 100_000},
		{"upload expecting 100", "/", []string{"-d", small, "--expect-continue"}, nil, 100_000},
		{"large", "/large", nil, nil, largeSize},
		{"small windows", "/large", []string{"-w", "12", "-W", "14"}, nil, largeSize},
		{"many at once", "/large", []string{"-m", "10"}, nil, 10 * largeSize},
		{"padding", "/", []string{"-v", "-b", "100"}, []string{":status: 200"}, 0},
		{"no header table", "/", []string{"-v", "-c", "0"}, []string{":status: 200"}, 0},
		{"long headers", "/", []string{"-v", "--continuation"}, []string{":status: 200"}, 0},
	}
	for _, k := range cases {
		args := append(append([]string{nghttp, "-t", "60"}, k.args...), c.url(k.path))
		out, err := harness.Run(t, c.From, harness.Program{Name: "nghttp", Args: args})
		for _, want := range k.wants {
			if err == nil && !strings.Contains(out, want) {
				err = fmt.Errorf("no %q in: %.2000s", want, out)
			}
		}
		// The harness takes white space from both ends.
		if short := k.bytes - len(out); err == nil && k.bytes > 0 && (short < 0 || short > 8) {
			err = fmt.Errorf("%d bytes came, want %d", len(out), k.bytes)
		}
		c.verdict(k.name, err)
	}
}
