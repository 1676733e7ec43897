package wire

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"

	"github.com/leno-mesh/leno/wire/gen"
)

// Hash is the hash of a resource's body as it travelled.
func Hash(body []byte) uint64 {
	sum := sha256.Sum256(body)
	return binary.BigEndian.Uint64(sum[:])
}

// Sums adds up what a proxy holds, per kind. It is the same on both sides
// when both believe the same, in whatever order things came.
type Sums struct {
	kinds [gen.Kind_KIND_SET + 1]struct {
		count uint32
		sum   uint64
	}
}

// Add counts one resource in. Kinds that this release does not know are left
// out, on both sides.
func (s *Sums) Add(kind gen.Kind, key string, resource uint64) {
	if kind <= gen.Kind_KIND_UNSPECIFIED || int(kind) >= len(s.kinds) {
		return
	}
	h := sha256.New()
	writeKey(h, key)
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], resource)
	h.Write(b[:])
	s.kinds[kind].count++
	s.kinds[kind].sum += first8(h)
}

// Message gives the sums of every kind that this release knows.
func (s *Sums) Message() []*gen.Sum {
	var out []*gen.Sum
	for k := gen.Kind_KIND_INBOUND; int(k) < len(s.kinds); k++ {
		out = append(out, &gen.Sum{Kind: k, Count: s.kinds[k].count, Sum: s.kinds[k].sum})
	}
	return out
}

// Agrees compares with what the other side says. Kinds that only one side
// knows are not compared.
func (s *Sums) Agrees(other []*gen.Sum) bool {
	for _, o := range other {
		k := int(o.GetKind())
		if k <= 0 || k >= len(s.kinds) {
			continue
		}
		if s.kinds[k].count != o.GetCount() || s.kinds[k].sum != o.GetSum() {
			return false
		}
	}
	return true
}

func entryHash(key string, endpoint []byte) uint64 {
	h := sha256.New()
	writeKey(h, key)
	h.Write(endpoint)
	return first8(h)
}

func writeKey(h hash.Hash, key string) {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], uint64(len(key)))
	h.Write(b[:])
	h.Write([]byte(key))
}

func first8(h hash.Hash) uint64 {
	var b [sha256.Size]byte
	return binary.BigEndian.Uint64(h.Sum(b[:0]))
}
