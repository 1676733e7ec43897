package cli

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leno-mesh/leno/cli/shop"
	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/control/store"
)

func TestUnits(t *testing.T) {
	half, tiny, long := 0.97321, 1.25, 1500.4
	for _, test := range []struct{ got, want string }{
		{percent(&half), "97.32%"},
		{percent(nil), "-"},
		{millis(&tiny), "1.2ms"},
		{millis(&long), "1500ms"},
		{millis(nil), "-"},
		{rps(12.34), "12.3rps"},
		{size(512), "512B"},
		{size(15.5 * 1024 * 1024), "15.5MB"},
		{memory(0), "-"},
		{duration(90 * time.Second), "90s"},
		{duration(3 * time.Hour), "3h"},
		{duration(100 * time.Hour), "4d"},
		{age(time.Time{}), "-"},
		{until(time.Time{}), "-"},
		{until(time.Now().Add(-time.Second)), "ended"},
		{until(time.Now().Add(59*time.Minute + 30*time.Second)), "in 59m"},
		{shortID("spiffe://cluster.local/ns/shop/sa/web"), "web.shop"},
		{shortID("spiffe://elsewhere/web"), "spiffe://elsewhere/web"},
		{shortID(""), ""},
	} {
		if test.got != test.want {
			t.Errorf("%q, want %q", test.got, test.want)
		}
	}
}

func TestTable(t *testing.T) {
	for name, test := range map[string]struct {
		table table
		want  string
	}{
		"aligned": {
			table{head: []string{"NAME", ">RPS", "SECURED"}, rows: [][]string{{"web", "1.0rps", "√"}, {"", "120.0rps", "×"}}},
			"NAME       RPS  SECURED\nweb     1.0rps  √\n-     120.0rps  ×\n",
		},
		"empty":        {table{head: []string{"NAME"}, empty: "Nothing."}, "Nothing.\n"},
		"head of none": {table{head: []string{"NAME"}}, "NAME\n"},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := test.table.write(&b); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, b.String()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCheckReport(t *testing.T) {
	ok := operator.Check{Category: "a", Description: "fine", Result: operator.SeverityOK}
	warning := operator.Check{Category: "b", Description: "odd", Result: operator.SeverityWarning, Error: "it is", Hint: "look"}
	wrong := operator.Check{Category: "a", Description: "bad", Result: operator.SeverityError, Error: "it broke", Hint: "mend it"}
	for name, test := range map[string]struct {
		checks []operator.Check
		code   int
		want   string
	}{
		"fine":    {[]operator.Check{ok}, 0, "a\n-\n√ fine\n\nAll is well.\n"},
		"warning": {[]operator.Check{ok, warning}, exitWarning, "a\n-\n√ fine\n\nb\n-\n‼ odd\n    it is\n    next: look\n\nErrors: 0. Warnings: 1.\n"},
		"error":   {[]operator.Check{ok, warning, wrong}, exitError, "a\n-\n√ fine\n× bad\n    it broke\n    next: mend it\n\nb\n-\n‼ odd\n    it is\n    next: look\n\nErrors: 1. Warnings: 1.\n"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newCheckReport(test.checks)
			var b strings.Builder
			if err := r.write(&b); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, b.String()); diff != "" {
				t.Error(diff)
			}
			code := 0
			if exit, is := r.exit().(*ExitError); is {
				code = exit.Code
			}
			if code != test.code || r.Success != (test.code != exitError) {
				t.Errorf("exit %d, success %v", code, r.Success)
			}
		})
	}
}

func TestMeshedCounts(t *testing.T) {
	endpoint := func(service, workload string, meshed bool) operator.Endpoint {
		return operator.Endpoint{Namespace: "shop", Service: service, Workload: workload, Meshed: meshed}
	}
	rows := addMeshed([]store.ServiceStat{
		{Namespace: "shop", Name: "web", Instances: 2},
		{Namespace: "shop", Name: "client", Instances: 2},
		{Namespace: "shop", Name: "ended", Instances: 1},
		{Namespace: "shop", Name: "just ended", Instances: 1, RPS: 2},
	}, []operator.Endpoint{
		endpoint("web", "1", true), endpoint("web", "1", true), endpoint("web", "2", true), endpoint("web", "3", false),
	}, []operator.Proxy{
		{Namespace: "shop", Title: "web", Connected: true},
		{Namespace: "shop", Title: "client", Connected: true},
		{Namespace: "shop", Title: "client"},
		{Namespace: "shop", Title: "ended"},
	})
	var got []string
	for _, r := range rows {
		got = append(got, r.Name+" "+r.Meshed)
	}
	if want := []string{"web 2/3", "client 1/1", "just ended 0/0"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestDemoJudges(t *testing.T) {
	whole := func() (n demoNumbers) {
		for _, e := range shop.Edges() {
			n.edges = append(n.edges, store.Edge{Src: e.Src, Dst: e.Dst, ClientID: "c", ServerID: "s", Secured: true, RPS: 1})
		}
		return n
	}
	for name, test := range map[string]struct {
		change           func(*demoNumbers)
		verdict, missing string
	}{
		"good":        {func(*demoNumbers) {}, "", ""},
		"plain":       {func(n *demoNumbers) { n.edges[0].Secured = false }, "not secured: load -> web", ""},
		"no identity": {func(n *demoNumbers) { n.edges[1].ServerID = "" }, "not secured: web -> cart", ""},
		"no edge":     {func(n *demoNumbers) { n.edges = slices.Delete(n.edges, 0, 1) }, "", "no calls were seen on: load -> web"},
		"no call":     {func(n *demoNumbers) { n.edges[1].RPS = 0 }, "", "no calls were seen on: web -> cart"},
	} {
		t.Run(name, func(t *testing.T) {
			n := whole()
			test.change(&n)
			says(t, n.verdict(), test.verdict)
			says(t, n.missing(), test.missing)
		})
	}
}

func says(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.HasPrefix(err.Error(), want)) {
		t.Errorf("%v, want %q", err, want)
	}
}

// What others chose must not steer the terminal, nor look like another row.
func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"web.shop":                "web.shop",
		"münchen 東京":              "münchen 東京",
		"\x1b[2J\x1b]0;title\x07": "\ufffd[2J\ufffd]0;title\ufffd",
		"a\u009b31mb":             "a\ufffd31mb",
		"a\nb\tc\r":               "a\ufffdb\ufffdc\ufffd",
		"abc\u202edef":            "abc\ufffddef",
		"bad\xff":                 "bad\ufffd",
	} {
		if got := printable(in); got != want {
			t.Errorf("printable(%q) = %q, want %q", in, got, want)
		}
	}
	var out strings.Builder
	evil := &table{head: []string{"NAME"}, rows: [][]string{{"a\x1b[31m\nb"}}}
	if err := evil.write(&out); err != nil || strings.ContainsAny(out.String(), "\x1b\r") || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("%q, %v", out.String(), err)
	}
	if got := printableText("a\n\x1bb"); got != "a\n\ufffdb" {
		t.Errorf("%q", got)
	}
}

// TestAnchors: what nobody said is not taken for a no.
func TestAnchors(t *testing.T) {
	yes, no := true, false
	for want, p := range map[string]operator.Proxy{"√": {Anchors: &yes}, "×": {Anchors: &no}, "-": {}} {
		table := proxyTable([]operator.Proxy{p}, true)
		at := slices.Index(table.head, "ANCHORS")
		if got := table.rows[0][at]; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
