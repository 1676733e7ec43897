package footprint

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestReadOnlyMapping(t *testing.T) {
	for _, tt := range []struct {
		name, line string
		want       bool
	}{
		{"text", "00400000-021ac000 r-xp 00000000 fe:01 1234   /bin/leno", true},
		{"tables", "021ac000-045a0000 r--p 01dac000 fe:01 1234   /bin/leno", true},
		{"data can be written", "045a0000-04700000 rw-p 041a0000 fe:01 1234   /bin/leno", false},
		{"shared", "045a0000-04700000 r--s 041a0000 fe:01 1234   /bin/leno", false},
		{"another file", "7f0000000000-7f0000001000 r--p 00000000 fe:01 99   /lib/other", false},
		{"no file", "c000000000-c004000000 rw-p 00000000 00:00 0", false},
		{"no range", "00400000 r-xp 00000000 fe:01 1234   /bin/leno", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, to, ok := readOnlyMapping(tt.line, "/bin/leno")
			if ok != tt.want || ok && from >= to {
				t.Errorf("%x-%x, %t", from, to, ok)
			}
		})
	}
}

// TestTrim runs on after its own pages were dropped, and holds fewer of them.
func TestTrim(t *testing.T) {
	before := filePages(t)
	Trim()
	if after := filePages(t); after >= before {
		t.Errorf("%d KB of files are held, %d before", after, before)
	}
}

// filePages gives RssFile of proc_pid_status(5), in KB.
func filePages(t *testing.T) (kb int) {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "RssFile:")
	if _, err := fmt.Sscanf(rest, "%d kB", &kb); err != nil {
		t.Fatal(err)
	}
	return kb
}
