package wire

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire/gen"
)

// Set is the endpoints of one set together with the bytes they travel as. It
// never changes once made, so the server shares one between all proxies, and
// a proxy makes the next from the last and a delta.
type Set struct {
	entries []entry // sorted by key, unique
	hash    uint64

	once sync.Once
	body []byte // made on first use
}

type entry struct {
	key      string
	raw      []byte
	hash     uint64
	endpoint mesh.Endpoint
}

// EncodeSet makes the set of these endpoints. What did not change since prev,
// which may be nil, is taken from there; when nothing did, prev itself is
// returned. Of two endpoints with one address and workload the first counts.
func EncodeSet(prev *Set, endpoints []mesh.Endpoint) (*Set, error) {
	if len(endpoints) > maxEndpoints {
		return nil, fmt.Errorf("endpoint set: %d endpoints; at most %d", len(endpoints), maxEndpoints)
	}
	s := &Set{entries: make([]entry, 0, len(endpoints))}
	for i := range endpoints {
		s.entries = append(s.entries, entry{key: endpointKey(&endpoints[i]), endpoint: endpoints[i]})
	}
	slices.SortStableFunc(s.entries, compareEntries)
	s.entries = slices.CompactFunc(s.entries, func(a, b entry) bool { return a.key == b.key })
	for i := range s.entries {
		if err := s.entries[i].encode(prev); err != nil {
			return nil, err
		}
		s.hash += s.entries[i].hash
	}
	if prev != nil && prev.hash == s.hash && len(prev.entries) == len(s.entries) {
		return prev, nil
	}
	return s, nil
}

func (e *entry) encode(prev *Set) error {
	if old := prev.find(e.key); old != nil && old.endpoint == e.endpoint {
		*e = *old
		return nil
	}
	raw, err := encodeEndpoint(&e.endpoint)
	if err != nil {
		return fmt.Errorf("endpoint %s: %w", e.key, err)
	}
	e.raw, e.hash = raw, entryHash(e.key, raw)
	return nil
}

// DecodeSet reads the body of a set.
func DecodeSet(body []byte) (*Set, error) {
	var m gen.EndpointSet
	if err := proto.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("endpoint set: %w", err)
	}
	return new(Set).with(m.GetEntries(), nil)
}

// Apply gives the set that a delta makes of this one. The caller compares
// the hash.
func (s *Set) Apply(delta []byte) (*Set, error) {
	var m gen.EndpointDelta
	if err := proto.Unmarshal(delta, &m); err != nil {
		return nil, fmt.Errorf("endpoint delta: %w", err)
	}
	return s.with(m.GetChanged(), m.GetRemoved())
}

// with is the one way in for a peer's entries.
func (s *Set) with(changed []*gen.Entry, removed []string) (*Set, error) {
	if n := len(s.entries) + len(changed); n > 2*maxEndpoints {
		return nil, fmt.Errorf("endpoint set: %d entries; at most %d", n, maxEndpoints)
	}
	touched := make(map[string]bool, len(changed)+len(removed))
	for _, key := range removed {
		touched[key] = true
	}
	next := &Set{entries: make([]entry, 0, len(s.entries)+len(changed))}
	for _, m := range changed {
		if touched[m.GetKey()] {
			return nil, fmt.Errorf("endpoint set: %q is there twice", m.GetKey())
		}
		touched[m.GetKey()] = true
		if len(m.GetKey()) > maxText {
			return nil, fmt.Errorf("endpoint set: a key of %d bytes", len(m.GetKey()))
		}
		e, err := decodeEndpoint(m.GetEndpoint())
		if err != nil {
			return nil, fmt.Errorf("endpoint set: %w", err)
		}
		next.entries = append(next.entries, entry{
			key: m.GetKey(), raw: m.GetEndpoint(), hash: entryHash(m.GetKey(), m.GetEndpoint()), endpoint: e,
		})
	}
	for _, e := range s.entries {
		if !touched[e.key] {
			next.entries = append(next.entries, e)
		}
	}
	if len(next.entries) > maxEndpoints {
		return nil, fmt.Errorf("endpoint set: %d entries; at most %d", len(next.entries), maxEndpoints)
	}
	slices.SortFunc(next.entries, compareEntries)
	for _, e := range next.entries {
		next.hash += e.hash
	}
	return next, nil
}

// Delta gives the body of the delta from base to this set.
func (s *Set) Delta(base *Set) ([]byte, error) {
	var m gen.EndpointDelta
	for i := range s.entries {
		e := &s.entries[i]
		if old := base.find(e.key); old == nil || old.hash != e.hash {
			m.Changed = append(m.Changed, &gen.Entry{Key: e.key, Endpoint: e.raw})
		}
	}
	for i := range base.entries {
		if key := base.entries[i].key; s.find(key) == nil {
			m.Removed = append(m.Removed, key)
		}
	}
	body, err := marshal(&m)
	if err != nil {
		return nil, fmt.Errorf("encoding an endpoint delta: %w", err)
	}
	return body, nil
}

// Body gives the whole set as it travels. It must not be changed.
func (s *Set) Body() []byte {
	s.once.Do(func() {
		m := &gen.EndpointSet{Entries: make([]*gen.Entry, 0, len(s.entries))}
		for i := range s.entries {
			m.Entries = append(m.Entries, &gen.Entry{Key: s.entries[i].key, Endpoint: s.entries[i].raw})
		}
		// Entry keys were checked to be UTF-8 when they were marshalled or
		// unmarshalled, which is all that can fail here.
		s.body, _ = marshal(m)
	})
	return s.body
}

// Hash is the sum of the hashes of the entries.
func (s *Set) Hash() uint64 { return s.hash }

// Len counts the endpoints.
func (s *Set) Len() int { return len(s.entries) }

// Endpoints gives a fresh slice, ordered by address and workload as text.
func (s *Set) Endpoints() []mesh.Endpoint {
	if len(s.entries) == 0 {
		return nil
	}
	out := make([]mesh.Endpoint, len(s.entries))
	for i := range s.entries {
		out[i] = s.entries[i].endpoint
	}
	return out
}

func (s *Set) find(key string) *entry {
	if s == nil {
		return nil
	}
	i, ok := slices.BinarySearchFunc(s.entries, key, func(e entry, key string) int { return strings.Compare(e.key, key) })
	if !ok {
		return nil
	}
	return &s.entries[i]
}

func compareEntries(a, b entry) int { return strings.Compare(a.key, b.key) }
