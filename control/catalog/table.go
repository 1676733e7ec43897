package catalog

import (
	"hash/maphash"
	"iter"
	"maps"
	"slices"
)

const shards = 256

// table is a map that is cheap to copy: a plain assignment gives a second
// table that shares everything with the first, and a write to it copies only
// the one shard it lands in. Once frozen, a table may be read by anybody.
type table[K comparable, V any] struct {
	seed   maphash.Seed
	shards *[shards]map[K]V
	owned  *[shards]bool // shards this table may write to; nil when frozen
	n      int
}

func newTable[K comparable, V any]() table[K, V] {
	return table[K, V]{seed: maphash.MakeSeed(), shards: new([shards]map[K]V)}
}

func (t *table[K, V]) shard(k K) uint8 {
	return uint8(maphash.Comparable(t.seed, k)) // the low byte is what is wanted
}

func (t *table[K, V]) get(k K) (V, bool) {
	v, ok := t.shards[t.shard(k)][k]
	return v, ok
}

func (t *table[K, V]) set(k K, v V) {
	m := t.own(t.shard(k))
	before := len(m)
	m[k] = v
	t.n += len(m) - before
}

func (t *table[K, V]) drop(k K) {
	if _, ok := t.get(k); ok {
		delete(t.own(t.shard(k)), k)
		t.n--
	}
}

func (t *table[K, V]) own(i uint8) map[K]V {
	if t.owned == nil {
		t.owned = new([shards]bool)
		copied := *t.shards
		t.shards = &copied
	}
	if !t.owned[i] {
		t.owned[i] = true
		if t.shards[i] = maps.Clone(t.shards[i]); t.shards[i] == nil {
			t.shards[i] = make(map[K]V)
		}
	}
	return t.shards[i]
}

func (t *table[K, V]) freeze() { t.owned = nil }

// all gives every pair, in no order.
func (t *table[K, V]) all() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		for _, m := range t.shards {
			for k, v := range m {
				if !yield(k, v) {
					return
				}
			}
		}
	}
}

// relation is a table of sorted lists without duplicates.
type relation[K, V comparable] struct {
	table[K, []V]
	compare func(a, b V) int
}

func newRelation[K, V comparable](compare func(a, b V) int) relation[K, V] {
	return relation[K, V]{newTable[K, []V](), compare}
}

// of gives the list of k. The caller must not change it.
func (r *relation[K, V]) of(k K) []V {
	vs, _ := r.get(k)
	return vs
}

// add never writes into the old list, which published tables share.
func (r *relation[K, V]) add(k K, v V) {
	old := r.of(k)
	if i, found := slices.BinarySearchFunc(old, v, r.compare); !found {
		r.set(k, slices.Insert(slices.Clip(slices.Clone(old)), i, v))
	}
}

func (r *relation[K, V]) remove(k K, v V) {
	old := r.of(k)
	i, found := slices.BinarySearchFunc(old, v, r.compare)
	switch {
	case !found:
	case len(old) == 1:
		r.drop(k)
	default:
		r.set(k, slices.Delete(slices.Clone(old), i, i+1))
	}
}

// move takes v from the lists of the old keys to those of the new ones and
// leaves lists alone that are in both.
func (r *relation[K, V]) move(v V, from, to []K) {
	for _, k := range from {
		if !slices.Contains(to, k) {
			r.remove(k, v)
		}
	}
	for _, k := range to {
		r.add(k, v)
	}
}
