package wire

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire/gen"
)

var byValue = cmp.Options{
	cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Addr) bool { return a == b }),
	cmp.Comparer(func(a, b netip.Prefix) bool { return a == b }),
}

// TestEncodeAndDecodeAreInverse draws values of every kind and expects them
// back as they were.
func TestEncodeAndDecodeAreInverse(t *testing.T) {
	same := func(t *rapid.T, want, got any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, byValue); diff != "" {
			t.Fatal(diff)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		in := inbound(t)
		body, err := EncodeInbound(in)
		if err != nil {
			t.Fatal(err)
		}
		gotInbound, err := DecodeInbound(body)
		same(t, in, gotInbound, err)

		d := destination(t)
		body, keys, err := EncodeDestination(d)
		if err != nil {
			t.Fatal(err)
		}
		gotDestination, gotKeys, err := DecodeDestination(body)
		same(t, d, gotDestination, err)
		same(t, keys, gotKeys, nil)

		r := registration(t)
		gotRegistration, err := DecodeRegistration(EncodeRegistration(r))
		same(t, r, gotRegistration, err)

		b := mesh.Bundle{TrustDomain: "mesh", Anchors: slice(t, 3, func(t *rapid.T) []byte {
			return rapid.SliceOfN(rapid.Byte(), 1, 20).Draw(t, "anchor")
		})}
		body, err = EncodeBundle(b)
		if err != nil {
			t.Fatal(err)
		}
		gotBundle, err := DecodeBundle(body)
		same(t, b, gotBundle, err)
	})
}

func TestDecodeRefusesWhatIsTooMuchOrUnknown(t *testing.T) {
	many := make([]*gen.Rule, maxRules+1)
	for i := range many {
		many[i] = &gen.Rule{}
	}
	target := &gen.Target{Host: "web", Port: 80}
	tests := []struct {
		name string
		in   *gen.Destination
		want string
	}{
		{"too many rules", &gen.Destination{Target: target, Rules: many}, "at most"},
		{"long name", &gen.Destination{Target: &gen.Target{Host: strings.Repeat("x", maxName+1)}}, "at most"},
		{"no target", &gen.Destination{}, "want a host or an address"},
		{"both", &gen.Destination{Target: &gen.Target{Host: "x", Addr: []byte{1, 2, 3, 4}}}, "want a host or an address"},
		{"five bytes", &gen.Destination{Target: &gen.Target{Addr: []byte{1, 2, 3, 4, 5}}}, "5 bytes"},
		{"port", &gen.Destination{Target: &gen.Target{Host: "x", Port: 65536}}, "port 65536"},
		{"kind", &gen.Destination{Target: target, Kind: 3}, "not known"},
		{"set index", &gen.Destination{Target: target, DefaultSet: 1}, "index 1 of 0"},
		{"set index of a backend", &gen.Destination{Target: target, Rules: []*gen.Rule{{Backends: []*gen.Backend{{Set: 1 << 31}}}}}, "index"},
		{"match kind", &gen.Destination{Target: target, Rules: []*gen.Rule{{Matches: []*gen.Match{{PathKind: 9}}}}}, "not known"},
		{"timeout", &gen.Destination{Target: target, Rules: []*gen.Rule{{TimeoutNs: -1}}}, "negative"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body, err := marshal(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			_, _, err = DecodeDestination(body)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// TestLaterRelease: what a later release adds must not stop this one.
func TestLaterRelease(t *testing.T) {
	body, err := marshal(&gen.Endpoint{Name: "a", State: 200})
	if err != nil {
		t.Fatal(err)
	}
	body = append(body, 0xfa, 0x7f, 0x01, 'x') // field 2047, bytes
	e, err := decodeEndpoint(body)
	if err != nil || e.State != mesh.Doubtful || e.Name != "a" {
		t.Fatalf("got %+v, %v", e, err)
	}
	if got := protocol(77); got != mesh.Detect {
		t.Fatalf("protocol 77 is %v, want detect", got)
	}
}
