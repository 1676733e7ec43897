package mesh

import "testing"

func TestParseProxyLimit(t *testing.T) {
	for _, tt := range []struct {
		s, name string
		n       int
		bad     bool
	}{
		{s: "resets=9000", name: "resets", n: 9000},
		{s: "series=100", name: "series", n: 100},
		{s: "series=99", bad: true},
		{s: "head-bytes=65537", bad: true},
		{s: "resets", bad: true},
		{s: "resets=", bad: true},
		{s: "resets=-1", bad: true},
		{s: "resets=1=2", bad: true},
		{s: "nothing=1", bad: true},
		{s: "", bad: true},
	} {
		if name, n, err := ParseProxyLimit(tt.s); name != tt.name || (err != nil) != tt.bad || !tt.bad && n != tt.n {
			t.Errorf("%q: %q, %d, %v", tt.s, name, n, err)
		}
	}
}
