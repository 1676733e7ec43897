package mux

// table finds streams by identifier: open addressing with linear probing. The
// identifiers of a link are consecutive odd numbers, so that id/2 is a perfect
// hash as long as streams end roughly in order; and unlike a map it never
// allocates once it has its size.
type table struct {
	slots []slot // a power of two, at most half full
	n     int
}

type slot struct {
	id uint32 // 0: free
	s  *Stream
}

const minSlots = 16

func (t *table) len() int { return t.n }

func (t *table) home(id uint32) int { return int(id>>1) & (len(t.slots) - 1) }

// find gives the slot of id, or the free one where it would be.
func (t *table) find(id uint32) int {
	i := t.home(id)
	for t.slots[i].id != 0 && t.slots[i].id != id {
		i = (i + 1) & (len(t.slots) - 1)
	}
	return i
}

func (t *table) get(id uint32) *Stream {
	if t.n == 0 {
		return nil
	}
	return t.slots[t.find(id)].s
}

func (t *table) put(id uint32, s *Stream) {
	if 2*(t.n+1) > len(t.slots) {
		old := t.slots
		t.slots = make([]slot, max(minSlots, 2*len(old)))
		for _, e := range old {
			if e.id != 0 {
				t.slots[t.find(e.id)] = e
			}
		}
	}
	t.slots[t.find(id)] = slot{id, s}
	t.n++
}

// del removes id and moves back what its slot had pushed on.
func (t *table) del(id uint32) {
	if t.n == 0 {
		return
	}
	i := t.find(id)
	if t.slots[i].id == 0 {
		return
	}
	t.n--
	mask := len(t.slots) - 1
	for j := (i + 1) & mask; t.slots[j].id != 0; j = (j + 1) & mask {
		// The entry at j may move to i unless its home lies in (i, j].
		if h := t.home(t.slots[j].id); (j-h)&mask >= (j-i)&mask {
			t.slots[i] = t.slots[j]
			i = j
		}
	}
	t.slots[i] = slot{}
}

// all gives every stream, for what happens once in the life of a link.
func (t *table) all() []*Stream {
	out := make([]*Stream, 0, t.n)
	for _, e := range t.slots {
		if e.id != 0 {
			out = append(out, e.s)
		}
	}
	return out
}
