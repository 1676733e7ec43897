package http2

// Header blocks of one connection resemble each other, so the field after
// another one is mostly the field that followed it the last time. Comparing
// with that one is cheaper than hashing name and value.

// guessSlots is the number of remembered successions.
const guessSlots = 128

// ref names an entry: a static one by twice its index, a dynamic one by twice
// its sequence number plus one. 0 is none.
type ref uint64

// guesses remembers which entry was sent after which field.
type guesses struct {
	after [guessSlots]ref
	last  uint64 // what was sent last: a ref, or the hash of a literal's name
}

func (g *guesses) slot() *ref { return &g.after[mix(g.last)%guessSlots] }

// hit notes that r was sent.
func (g *guesses) hit(r ref) {
	*g.slot() = r
	g.last = uint64(r)
}

// guess gives the index of the entry that is expected now when it is this very
// field, or 0.
func (e *Encoder) guess(name, value string) int {
	r := *e.guesses.slot()
	n := uint64(r >> 1)
	if r&1 == 0 {
		f := &staticTable[n]
		if n == 0 || f.Value != value || !equalLower(f.Name, name) {
			return 0
		}
		e.guesses.last = uint64(r)
		return int(n)
	}
	if !e.live(n) {
		return 0
	}
	t := e.at(n)
	if t.value != value || !equalLower(t.name, name) {
		return 0
	}
	e.guesses.last = uint64(r)
	return e.index(n)
}
