package wire

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire/gen"
)

// FuzzDecode feeds any bytes to every decoder. None may panic, and what one
// accepts must survive the way out and in again.
func FuzzDecode(f *testing.F) {
	seed := rapid.Custom(func(t *rapid.T) [][]byte {
		in, err := EncodeInbound(inbound(t))
		if err != nil {
			t.Fatal(err)
		}
		d, _, err := EncodeDestination(destination(t))
		if err != nil {
			t.Fatal(err)
		}
		return [][]byte{in, d, mustEncode(t, nil, []mesh.Endpoint{endpoint(t)}).Body()}
	})
	for i := range 5 {
		for _, body := range seed.Example(i) {
			f.Add(body)
		}
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if in, err := DecodeInbound(body); err == nil {
			again(t, in, EncodeInbound, DecodeInbound)
		}
		if b, err := DecodeBundle(body); err == nil {
			again(t, b, EncodeBundle, DecodeBundle)
		}
		if d, _, err := DecodeDestination(body); err == nil {
			if _, _, err := EncodeDestination(d); err != nil {
				t.Fatal(err)
			}
		}
		if s, err := DecodeSet(body); err == nil {
			if got := mustDecode(t, s.Body()); got.Hash() != s.Hash() || got.Len() != s.Len() {
				t.Fatal("a set is another one after its own body")
			}
		}
		if _, err := new(Set).Apply(body); err == nil {
			_, _ = mustEncode(t, nil, []mesh.Endpoint{{Name: "a"}}).Apply(body)
		}
		var r gen.Registration
		if proto.Unmarshal(body, &r) == nil {
			_, _ = DecodeRegistration(&r)
		}
	})
}

func again[T any](t *testing.T, v T, encode func(T) ([]byte, error), decode func([]byte) (T, error)) {
	t.Helper()
	body, err := encode(v)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := decode(body); err != nil {
		t.Fatalf("its own bytes are refused: %v", err)
	}
}
