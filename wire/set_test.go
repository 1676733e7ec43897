package wire

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire/gen"
)

// TestDeltasAddUp walks a set through random states. A proxy that only sees
// the deltas must hold the same as one that sees the last state alone.
func TestDeltasAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		server, proxy := mustEncode(t, nil, nil), mustDecode(t, new(Set).Body())
		var endpoints []mesh.Endpoint
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			endpoints = change(t, endpoints)
			next := mustEncode(t, server, endpoints)
			delta, err := next.Delta(server)
			if err != nil {
				t.Fatal(err)
			}
			if proxy, err = proxy.Apply(delta); err != nil {
				t.Fatal(err)
			}
			server = next
			whole := mustDecode(t, mustEncode(t, nil, endpoints).Body())
			if proxy.Hash() != server.Hash() || proxy.Hash() != whole.Hash() {
				t.Fatalf("hashes: proxy %x, server %x, whole %x", proxy.Hash(), server.Hash(), whole.Hash())
			}
			if diff := cmp.Diff(whole.Endpoints(), proxy.Endpoints(), byValue); diff != "" {
				t.Fatal(diff)
			}
			if proxy.Len() != len(endpoints) {
				t.Fatalf("%d endpoints, want %d", proxy.Len(), len(endpoints))
			}
		}
	})
}

// change adds, alters or removes some endpoints; keys stay unique.
func change(t *rapid.T, old []mesh.Endpoint) []mesh.Endpoint {
	out := slices.Clone(old)
	for range rapid.IntRange(0, 3).Draw(t, "removed") {
		if len(out) > 0 {
			i := rapid.IntRange(0, len(out)-1).Draw(t, "which")
			out = slices.Delete(out, i, i+1)
		}
	}
	if len(out) > 0 && rapid.Bool().Draw(t, "alter") {
		i := rapid.IntRange(0, len(out)-1).Draw(t, "which")
		out[i].State = (out[i].State + 1) % 4
	}
	for _, e := range slice(t, 3, endpoint) {
		if !slices.ContainsFunc(out, func(o mesh.Endpoint) bool { return endpointKey(&o) == endpointKey(&e) }) {
			out = append(out, e)
		}
	}
	return out
}

func TestEncodeSetKeepsWhatDidNotChange(t *testing.T) {
	a := mesh.Endpoint{Workload: "a", Name: "a"}
	b := mesh.Endpoint{Workload: "b", Name: "b"}
	first := mustEncode(t, nil, []mesh.Endpoint{a, b})
	if again := mustEncode(t, first, []mesh.Endpoint{b, a}); again != first {
		t.Error("the same endpoints made another set")
	}
	b.State = mesh.Draining
	second := mustEncode(t, first, []mesh.Endpoint{a, b, b})
	if second.Len() != 2 || second.Hash() == first.Hash() {
		t.Errorf("got %d endpoints, hash equal %v", second.Len(), second.Hash() == first.Hash())
	}
	if &second.entries[0].raw[0] != &first.entries[0].raw[0] {
		t.Error("an unchanged endpoint was encoded again")
	}
}

func TestApplyRefusesDuplicates(t *testing.T) {
	delta, err := marshal(&gen.EndpointDelta{Changed: []*gen.Entry{{Key: "a"}}, Removed: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := new(Set).Apply(delta); err == nil {
		t.Error("a key both changed and removed was taken")
	}
	body, err := marshal(&gen.EndpointSet{Entries: []*gen.Entry{{Key: "a"}, {Key: "a"}}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeSet(body); err == nil {
		t.Error("a key that is there twice was taken")
	}
}

func TestSumsAgree(t *testing.T) {
	var a, b Sums
	a.Add(gen.Kind_KIND_SET, "x", 1)
	a.Add(gen.Kind_KIND_SET, "y", 2)
	b.Add(gen.Kind_KIND_SET, "y", 2)
	if a.Agrees(b.Message()) {
		t.Error("a missing set went unnoticed")
	}
	b.Add(gen.Kind_KIND_SET, "x", 1)
	b.Add(gen.Kind(99), "later", 1)
	later := append(b.Message(), &gen.Sum{Kind: 99, Count: 1})
	if !a.Agrees(later) {
		t.Error("the order, or a kind of a later release, made a difference")
	}
	var swapped Sums
	swapped.Add(gen.Kind_KIND_SET, "x", 2)
	swapped.Add(gen.Kind_KIND_SET, "y", 1)
	if swapped.Agrees(a.Message()) {
		t.Error("hashes that changed places went unnoticed")
	}
}

type fataler interface {
	Helper()
	Fatal(args ...any)
}

func mustEncode(t fataler, prev *Set, endpoints []mesh.Endpoint) *Set {
	t.Helper()
	s, err := EncodeSet(prev, endpoints)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustDecode(t fataler, body []byte) *Set {
	t.Helper()
	s, err := DecodeSet(body)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
