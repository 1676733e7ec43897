package leno_test

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/control/server"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/limits"
)

const limitsPage = "docs/limits.md"

// TestLimitsPage holds the page against the tables in the code.
func TestLimitsPage(t *testing.T) {
	got, err := os.ReadFile(limitsPage)
	if err != nil {
		t.Fatal(err)
	}
	want := string(got)
	for place, table := range map[string]string{"proxy/limits": limitsText(), "control/server": serverLimitsText()} {
		begin := fmt.Sprintf(tableBegin, place)
		before, rest, ok1 := strings.Cut(want, begin)
		_, after, ok2 := strings.Cut(rest, tableEnd)
		if !ok1 || !ok2 {
			t.Fatalf("%s has no table between %q and %q", limitsPage, begin, tableEnd)
		}
		want = before + begin + table + tableEnd + after
	}
	if *update {
		if err := os.WriteFile(limitsPage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(got) != want {
		t.Errorf("%s differs from the tables in the code; write it anew with: go test -run TestLimitsPage . -update", limitsPage)
	}
}

const (
	tableBegin = "<!-- Written by \"go test -run TestLimitsPage . -update\" from the table in %s. -->\n"
	tableEnd   = "<!-- End of the table. -->\n"
)

func limitsText() string {
	usual, small := limits.OfMemory(256<<20), limits.OfMemory(48<<20)
	var b strings.Builder
	b.WriteString("\n| `--limit` | what | who spends it | number | past it | code |\n|---|---|---|---|---|---|\n")
	for _, r := range limits.Table() {
		name, number := "", strconv.Itoa(usual.Value(r))
		if r.Settable() {
			name = "`" + r.Name + "`"
		}
		if r.Computed {
			number += fmt.Sprintf(" at 256 MiB, %d at 48 MiB", small.Value(r))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n", name, r.What, r.Who, number, r.Past, quoted(r.Code))
	}
	b.WriteString("\n")
	return b.String()
}

func serverLimitsText() string {
	var b strings.Builder
	b.WriteString("\n| what | who spends it | number | past it | code |\n|---|---|---|---|---|\n")
	for _, r := range server.Limits() {
		fmt.Fprintf(&b, "| %s | %s | %d | %s | %s |\n", r.What, r.Who, r.Number, r.Past, quoted(r.Code))
	}
	b.WriteString("\n")
	return b.String()
}

func quoted(code string) string {
	if code == "–" {
		return code
	}
	return "`" + code + "`"
}

// TestLimits looks at the table itself.
func TestLimits(t *testing.T) {
	codes := map[string]bool{"ENHANCE_YOUR_CALM": true, "503": true, "resource_exhausted": true, "–": true}
	for _, r := range flow.Reasons() {
		codes[r.String()] = true
	}
	seen := map[string]bool{}
	for _, memory := range []int64{1, 48 << 20, 256 << 20, 64 << 30} {
		l := limits.OfMemory(memory)
		for _, r := range limits.Table() {
			n := l.Value(r)
			if r.What == "" || r.Who == "" || r.Past == "" || !codes[r.Code] || n <= 0 {
				t.Errorf("incomplete: %+v", r)
			}
			if r.Settable() && (n < r.Least || n > r.Most || r.Name == "") {
				t.Errorf("%s: %d is not between %d and %d", r.Name, n, r.Least, r.Most)
			}
			if r.Settable() && seen[r.Name] && memory == 1 {
				t.Errorf("%s is there twice", r.Name)
			}
			seen[r.Name] = true
		}
	}
}
