package http2

import (
	"hash/maphash"
	"strings"
)

// Encoder encodes the header blocks of one connection in their order
// (RFC 7541).
//
// A field goes into the dynamic table when it was seen a short while before,
// not at first sight: values that never come again (paths with identifiers,
// trace ids, dates) would only push the useful ones out. Strings are not
// Huffman coded: on links inside a cluster CPU is dearer than bytes.
type Encoder struct {
	limit int // what we want to use at most, in bytes
	max   int // in use: the lower one of limit and the peer's setting

	update  bool // size updates are due at the start of the next block
	lowest  int  // the lowest max since the last block
	seed    maphash.Seed
	entries []entry // ring: sequence number s is at entries[s&(len-1)]
	head    uint64  // sequence number of the newest entry; the first is 1
	count   int
	size    int // bytes, RFC 7541, section 4.1

	// Newest entry by hash; entries of one bucket are chained from new to old,
	// and a chain ends at the first number that was evicted.
	byField, byName [encoderBuckets]uint64
	// seen holds marks of fields that were sent as literals lately; a new mark
	// takes a random place of its set, so that no fields can displace each
	// other for ever.
	seen [encoderSets][encoderWays]uint32
	dice uint64

	guesses guesses
}

const (
	encoderBuckets = 128
	encoderSets    = 64
	encoderWays    = 4
)

// entry is a field in the dynamic table.
type entry struct {
	name, value          string
	nameHash, fieldHash  uint64
	olderName, olderPair uint64
}

// NewEncoder returns an Encoder that uses at most tableSize bytes for its
// dynamic table, and no more than 4096 before SetMaxTableSize allows it.
func NewEncoder(tableSize uint32) *Encoder {
	e := &Encoder{limit: clampTable(tableSize), max: DefaultTableSize, seed: maphash.MakeSeed()}
	e.SetMaxTableSize(DefaultTableSize)
	return e
}

// SetMaxTableSize takes the peer's SETTINGS_HEADER_TABLE_SIZE in bytes, to be
// called between header blocks and before the settings are acknowledged. The
// size update of RFC 7541, section 4.2, goes out with the next field.
func (e *Encoder) SetMaxTableSize(n uint32) {
	size := min(clampTable(n), e.limit)
	if size == e.max {
		return
	}
	if !e.update || size < e.lowest {
		e.lowest = size
	}
	e.update, e.max = true, size
	e.evict(0)
}

// Append appends one field to a header block. Upper-case ASCII letters of name
// are sent in lower case, so a name may come as HTTP/1 wrote it. The strings
// are not kept. sensitive values are sent so that no hop puts them into a table.
func (e *Encoder) Append(dst []byte, name, value string, sensitive bool) []byte {
	if e.update {
		dst = e.appendUpdates(dst)
	}
	if sensitive {
		hash := hashName(name)
		return e.appendLiteral(dst, 0x10, 4, findStatic(hash, name), hash, name, value)
	}
	if i := e.guess(name, value); i != 0 {
		return appendInt(dst, 0x80, 7, i)
	}
	hash := hashName(name)
	static := findStatic(hash, name)
	if i := findStaticValue(static, value); i != 0 {
		e.guesses.hit(ref(2 * i))
		return append(dst, 0x80|byte(i))
	}
	fieldHash := mix(hash ^ maphash.String(e.seed, value))
	if seq := e.find(fieldHash, name, value); seq != 0 {
		e.guesses.hit(ref(2*seq + 1))
		return appendInt(dst, 0x80, 7, e.index(seq))
	}
	e.guesses.last = hash
	if !e.worthIt(fieldHash, len(name)+len(value)+fieldOverhead) {
		return e.appendLiteral(dst, 0x00, 4, static, hash, name, value)
	}
	dst = e.appendLiteral(dst, 0x40, 6, static, hash, name, value)
	e.insert(hash, fieldHash, name, value)
	return dst
}

// worthIt is the policy: a field was seen lately and does not take half of the
// table for itself.
func (e *Encoder) worthIt(hash uint64, size int) bool {
	if size > e.max/2 {
		return false
	}
	set, mark := &e.seen[hash%encoderSets], uint32(hash>>32)|1
	e.dice = mix(e.dice)
	place := e.dice % encoderWays
	for i, m := range set {
		if m == mark {
			return true
		}
		if m == 0 {
			place = uint64(i)
			break
		}
	}
	set[place] = mark
	return false
}

// appendUpdates tells the peer's decoder about a changed size. When it went
// down and up again, the table is emptied on the way: that is allowed, and
// golang.org/x/net refuses a second update while its table holds something.
func (e *Encoder) appendUpdates(dst []byte) []byte {
	e.update = false
	if e.lowest < e.max {
		dst = appendInt(dst, 0x20, 5, 0)
		e.count, e.size = 0, 0
	}
	return appendInt(dst, 0x20, 5, e.max)
}

// appendLiteral appends a literal field of the form that first and bits say,
// with the name as an index when a table has it.
func (e *Encoder) appendLiteral(
	dst []byte, first byte, bits uint8, index int, nameHash uint64, name, value string,
) []byte {
	if index == 0 {
		index = e.findName(nameHash, name)
	}
	dst = appendInt(dst, first, bits, index)
	if index == 0 {
		dst = appendInt(dst, 0, 7, len(name))
		dst = appendLower(dst, name)
	}
	dst = appendInt(dst, 0, 7, len(value))
	return append(dst, value...)
}

func (e *Encoder) live(seq uint64) bool { return seq > e.head-uint64(e.count) }

func (e *Encoder) at(seq uint64) *entry { return &e.entries[seq&uint64(len(e.entries)-1)] }

func (e *Encoder) index(seq uint64) int { return staticLen + 1 + int(e.head-seq) }

// find gives the sequence number of a field in the dynamic table, or 0.
func (e *Encoder) find(hash uint64, name, value string) uint64 {
	for seq := e.byField[hash%encoderBuckets]; e.live(seq); {
		t := e.at(seq)
		if t.fieldHash == hash && t.value == value && equalLower(t.name, name) {
			return seq
		}
		seq = t.olderPair
	}
	return 0
}

// findName gives the index of an entry called name in the dynamic table, or 0.
func (e *Encoder) findName(hash uint64, name string) int {
	for seq := e.byName[hash%encoderBuckets]; e.live(seq); {
		t := e.at(seq)
		if t.nameHash == hash && equalLower(t.name, name) {
			return e.index(seq)
		}
		seq = t.olderName
	}
	return 0
}

// insert adds a field that fits into the table.
func (e *Encoder) insert(nameHash, fieldHash uint64, name, value string) {
	e.evict(len(name) + len(value) + fieldOverhead)
	if e.count == len(e.entries) {
		e.grow()
	}
	e.head++
	e.count++
	e.size += len(name) + len(value) + fieldOverhead
	pair, byName := &e.byField[fieldHash%encoderBuckets], &e.byName[nameHash%encoderBuckets]
	*e.at(e.head) = entry{
		name:      string(appendLower(nil, name)),
		value:     strings.Clone(value),
		nameHash:  nameHash,
		fieldHash: fieldHash,
		olderName: *byName,
		olderPair: *pair,
	}
	*pair, *byName = e.head, e.head
}

// evict drops the oldest entries until need more bytes fit. Their strings go
// when the slot is used again; the table's size bounds them.
func (e *Encoder) evict(need int) {
	for e.count > 0 && e.size+need > e.max {
		t := e.at(e.head - uint64(e.count) + 1)
		e.size -= len(t.name) + len(t.value) + fieldOverhead
		t.name, t.value = "", ""
		e.count--
	}
}

// grow doubles the ring; sequence numbers keep their meaning.
func (e *Encoder) grow() {
	ring := make([]entry, max(16, 2*len(e.entries)))
	for i := range uint64(e.count) {
		seq := e.head - i
		ring[seq&uint64(len(ring)-1)] = *e.at(seq)
	}
	e.entries = ring
}
