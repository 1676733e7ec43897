package route

import (
	"math"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
)

func request(method, path string, fields ...string) *flow.Request {
	r := &flow.Request{Method: method, Path: path, Authority: "web.shop:80"}
	for i := 0; i < len(fields); i += 2 {
		r.Fields = append(r.Fields, flow.Field{Name: fields[i], Value: fields[i+1]})
	}
	return r
}

func pathIs(kind mesh.MatchKind, v string) mesh.Match {
	return mesh.Match{Path: mesh.PathMatch{Kind: kind, Value: v}}
}

func headerIs(name string, kind mesh.MatchKind, v string) mesh.Match {
	return mesh.Match{Headers: []mesh.ValueMatch{{Name: name, Kind: kind, Value: v}}}
}

func queryIs(name string, kind mesh.MatchKind, v string) mesh.Match {
	return mesh.Match{Query: []mesh.ValueMatch{{Name: name, Kind: kind, Value: v}}}
}

func TestMatch(t *testing.T) {
	tests := []struct {
		name  string
		match mesh.Match
		req   *flow.Request
		want  bool
	}{
		{"anything", mesh.Match{}, request("GET", "/"), true},
		{"exact", pathIs(mesh.MatchExact, "/a"), request("GET", "/a"), true},
		{"exact leaves the query alone", pathIs(mesh.MatchExact, "/a"), request("GET", "/a?b"), true},
		{"exact is all of it", pathIs(mesh.MatchExact, "/a"), request("GET", "/a/"), false},
		{"exact minds case", pathIs(mesh.MatchExact, "/a"), request("GET", "/A"), false},
		{"prefix itself", pathIs(mesh.MatchPrefix, "/a"), request("GET", "/a"), true},
		{"prefix with query", pathIs(mesh.MatchPrefix, "/a"), request("GET", "/a?x=/b"), true},
		{"prefix below", pathIs(mesh.MatchPrefix, "/a"), request("GET", "/a/b"), true},
		{"prefix of elements", pathIs(mesh.MatchPrefix, "/a"), request("GET", "/ab"), false},
		{"prefix with a slash at the end", pathIs(mesh.MatchPrefix, "/a/"), request("GET", "/a"), true},
		{"prefix is everything", pathIs(mesh.MatchPrefix, "/"), request("GET", "/x"), true},
		{"prefix is everything, asterisk is not a path", pathIs(mesh.MatchPrefix, "/"), request("OPTIONS", "*"), false},
		{"nothing is cleaned", pathIs(mesh.MatchPrefix, "/admin"), request("GET", "//admin"), false},
		{"nothing is decoded", pathIs(mesh.MatchPrefix, "/admin"), request("GET", "/%61dmin"), false},
		{"dots stay", pathIs(mesh.MatchPrefix, "/admin"), request("GET", "/x/../admin"), false},
		{"regex is whole", pathIs(mesh.MatchRegex, "/a|/b"), request("GET", "/ab"), false},
		{"regex second way", pathIs(mesh.MatchRegex, "/a|/b"), request("GET", "/b?q"), true},
		{"regex flags", pathIs(mesh.MatchRegex, "(?i)/A.*"), request("GET", "/abc"), true},
		{"method", mesh.Match{Method: "POST"}, request("GET", "/"), false},
		{"method same", mesh.Match{Method: "POST"}, request("POST", "/"), true},
		{"header", headerIs("x-user", mesh.MatchExact, "eve"), request("GET", "/", "X-User", "eve"), true},
		{"header missing", headerIs("x-user", mesh.MatchExact, ""), request("GET", "/"), false},
		{"header other", headerIs("x-user", mesh.MatchExact, "eve"), request("GET", "/", "X-User", "Eve"), false},
		{"header regex", headerIs("x-user", mesh.MatchRegex, "e.*"), request("GET", "/", "x-user", "eve"), true},
		{"header first of two", headerIs("x-user", mesh.MatchExact, "b"), request("GET", "/", "X-User", "a", "x-user", "b"), false},
		{"host", headerIs("host", mesh.MatchExact, "web.shop:80"), request("GET", "/"), true},
		{"query", queryIs("v", mesh.MatchExact, "2"), request("GET", "/?a=1&v=2"), true},
		{"query other", queryIs("v", mesh.MatchExact, "2"), request("GET", "/?a=2&w=2"), false},
		{"query first of two", queryIs("v", mesh.MatchExact, "2"), request("GET", "/?v=1&v=2"), false},
		{"query without value", queryIs("v", mesh.MatchExact, ""), request("GET", "/?v"), true},
		{"query none", queryIs("v", mesh.MatchExact, ""), request("GET", "/"), false},
		{"all must hold", mesh.Match{Method: "GET", Headers: []mesh.ValueMatch{{Name: "a", Kind: mesh.MatchExact, Value: "1"}, {Name: "b", Kind: mesh.MatchExact, Value: "2"}}}, request("GET", "/", "a", "1"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := &mesh.Destination{Route: mesh.Route{Rules: []mesh.Rule{{Matches: []mesh.Match{tt.match}}}}}
			table, err := NewTable(d)
			if err != nil {
				t.Fatal(err)
			}
			if _, got := table.Match(tt.req); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestFirstRuleWins(t *testing.T) {
	table, err := NewTable(&mesh.Destination{Route: mesh.Route{Rules: []mesh.Rule{
		{Name: "one", Matches: []mesh.Match{pathIs(mesh.MatchExact, "/1"), pathIs(mesh.MatchExact, "/one")}},
		{Name: "two", Matches: []mesh.Match{pathIs(mesh.MatchPrefix, "/")}},
		{Name: "three"},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{"/1": "one", "/one": "one", "/2": "two", "*": "three"} {
		if r, ok := table.Match(request("GET", path)); !ok || r.Name != want {
			t.Errorf("%s: got %+v, want rule %q", path, r, want)
		}
	}
}

func TestOwnEndpointsWithoutRules(t *testing.T) {
	table, err := NewTable(&mesh.Destination{Default: 0, Sets: make([]mesh.EndpointSet, 1)})
	if err != nil {
		t.Fatal(err)
	}
	r, ok := table.Match(request("GET", "/"))
	if !ok || r.Pick(0) != 0 || r.Pick(math.MaxUint32) != 0 {
		t.Errorf("got %+v, %v", r, ok)
	}
	table, err = NewTable(&mesh.Destination{Default: -1})
	if err != nil {
		t.Fatal(err)
	}
	if r, _ := table.Match(request("GET", "/")); r.Pick(7) != -1 {
		t.Error("picked a backend that is not there")
	}
}

func TestPickByWeight(t *testing.T) {
	backends := []mesh.Backend{{Weight: 1, Set: 0}, {Weight: 0, Set: 1}, {Weight: 3, Set: 2}, {Weight: 4, Set: -1}}
	table, err := NewTable(&mesh.Destination{
		Sets:  make([]mesh.EndpointSet, 3),
		Route: mesh.Route{Rules: []mesh.Rule{{Backends: backends}, {Backends: []mesh.Backend{{Set: 1}}}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	counts := map[int]int{}
	for i := range uint64(800) {
		counts[table.rules[0].Pick(uint32(i*(1<<32)/800))]++
	}
	if counts[0] != 100 || counts[2] != 300 || counts[3] != 400 || counts[1] != 0 {
		t.Errorf("got %v", counts)
	}
	if got := table.rules[1].Pick(1); got != -1 {
		t.Errorf("all weights zero: got backend %d", got)
	}
}

func TestPickWithLargestWeights(t *testing.T) {
	backends := make([]mesh.Backend, 16) // as many as Gateway API allows
	for i := range backends {
		backends[i] = mesh.Backend{Weight: 1_000_000, Set: i}
	}
	table, err := NewTable(&mesh.Destination{Sets: make([]mesh.EndpointSet, 16), Route: mesh.Route{Rules: []mesh.Rule{{Backends: backends}}}})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := table.rules[0].Pick(0), table.rules[0].Pick(math.MaxUint32); a != 0 || b != 15 {
		t.Errorf("got %d and %d", a, b)
	}
}

func TestWhatCannotBeBuiltIsRefused(t *testing.T) {
	tests := []struct {
		name string
		rule mesh.Rule
		want string
	}{
		{"expression", mesh.Rule{Matches: []mesh.Match{pathIs(mesh.MatchRegex, "(")}}, "missing closing )"},
		{"expression that closes the group", mesh.Rule{Matches: []mesh.Match{pathIs(mesh.MatchRegex, "a)(b")}}, "unexpected )"},
		{"header expression", mesh.Rule{Matches: []mesh.Match{headerIs("x", mesh.MatchRegex, "*")}}, `header "x"`},
		{"header prefix", mesh.Rule{Matches: []mesh.Match{headerIs("x", mesh.MatchPrefix, "a")}}, "only a path"},
		{"kind", mesh.Rule{Matches: []mesh.Match{pathIs(99, "a")}}, "unknown kind 99"},
		{"set", mesh.Rule{Backends: []mesh.Backend{{Set: 3, Weight: 1}}}, "set 3 of 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.rule.Name = "shop/r/0"
			_, err := NewTable(&mesh.Destination{Route: mesh.Route{Rules: []mesh.Rule{tt.rule}}})
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "shop/r/0") {
				t.Errorf("got %v, want %q in it", err, tt.want)
			}
		})
	}
}

func busyTable(tb testing.TB) (*Table, *flow.Request) {
	tb.Helper()
	rules := []mesh.Rule{
		{Matches: []mesh.Match{pathIs(mesh.MatchExact, "/healthz")}},
		{Matches: []mesh.Match{pathIs(mesh.MatchRegex, "/v[0-9]+/users/[^/]+")}},
		{Matches: []mesh.Match{headerIs("x-canary", mesh.MatchExact, "always")}},
		{Matches: []mesh.Match{queryIs("debug", mesh.MatchExact, "1")}},
		{Matches: []mesh.Match{pathIs(mesh.MatchPrefix, "/api")}, Backends: []mesh.Backend{{Weight: 90, Set: 0}, {Weight: 10, Set: 1}}},
	}
	table, err := NewTable(&mesh.Destination{Sets: make([]mesh.EndpointSet, 2), Route: mesh.Route{Rules: rules}})
	if err != nil {
		tb.Fatal(err)
	}
	return table, request("GET", "/api/v1/items?limit=10&page=2", "User-Agent", "curl/8", "Accept", "*/*", "X-Request-Id", "17")
}

func TestNoAllocation(t *testing.T) {
	table, req := busyTable(t)
	n := testing.AllocsPerRun(100, func() {
		if r, ok := table.Match(req); !ok || r.Pick(1) != 0 {
			t.Fatal("no match")
		}
	})
	if n != 0 {
		t.Errorf("%v allocations per request, want 0", n)
	}
}

func BenchmarkMatch(b *testing.B) {
	table, req := busyTable(b)
	b.ReportAllocs()
	for b.Loop() {
		if r, ok := table.Match(req); !ok || r.Pick(1) != 0 {
			b.Fatal("no match")
		}
	}
}
