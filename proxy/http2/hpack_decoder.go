package http2

import (
	"math"

	"golang.org/x/net/http2/hpack"
)

// Decoder decodes the header blocks of one connection in their order
// (RFC 7541). The strings it gives live on the heap: repeated ones come from
// its tables and cost nothing, new ones cost one allocation each.
type Decoder struct {
	allowed    int  // what we told the peer: the most that it may set max to
	mustUpdate bool // the next block must begin with a size update

	// The dynamic table: a ring, the newest entry at ring[(head-1)&(len-1)].
	ring  []Field
	head  uint
	count int
	size  int // bytes, RFC 7541, section 4.1
	max   int // bytes, as set by the peer

	names, values interner
	huffman       huffmanBuffer
}

// NewDecoder returns a Decoder whose peer may use a dynamic table of
// tableSize bytes (our SETTINGS_HEADER_TABLE_SIZE). The table starts with the
// protocol's 4096 and may be that large until SetMaxTableSize.
func NewDecoder(tableSize uint32) *Decoder {
	d := &Decoder{allowed: max(clampTable(tableSize), DefaultTableSize), max: DefaultTableSize}
	d.names.init(8)
	d.values.init(32)
	return d
}

func clampTable(n uint32) int { return int(min(n, maxInt)) }

// SetMaxTableSize sets the bound to n bytes, to be called when the peer has
// acknowledged that setting. When its table is larger, its next header block
// must begin with a size update (RFC 9113, section 4.3.1).
func (d *Decoder) SetMaxTableSize(n uint32) {
	d.allowed = clampTable(n)
	d.mustUpdate = d.max > d.allowed
}

// Decode decodes one whole header block and appends its fields. limit bounds
// the sum of their sizes in bytes (name + value + 32 each): when it is passed,
// the fields that fit and KindHeaderList are returned, and the Decoder can go
// on. Any other error, a *Error with COMPRESSION_ERROR, ends the connection.
func (d *Decoder) Decode(block []byte, fields []Field, limit int) ([]Field, error) {
	fields, kind := d.decode(block, fields, limit, math.MaxInt)
	switch kind {
	case 0:
		return fields, nil
	case KindHeaderList:
		return fields, kind
	}
	return fields, connError(ErrCodeCompression, kind)
}

// decode is Decode with KindCompression or KindHeaderList as its error. It gives
// at most so many fields.
func (d *Decoder) decode(p []byte, fields []Field, limit, most int) ([]Field, Kind) {
	p, ok := d.sizeUpdates(p)
	if !ok {
		return fields, KindCompression
	}
	var (
		fresh Field
		over  bool
	)
	for len(p) > 0 {
		var f *Field
		if c := p[0]; c > 0x80 && c < 0xff {
			f = d.lookup(int(c & 0x7f))
			p = p[1:]
		} else if c >= 0x80 {
			i, n := readInt(p, 7)
			f = d.lookup(i)
			p = p[n:]
		} else if n := d.literal(p, &fresh); n > 0 {
			f = &fresh
			p = p[n:]
		}
		if f == nil {
			return fields, KindCompression
		}
		limit -= f.size()
		if over = over || limit < 0 || len(fields) >= most; !over {
			fields = append(fields, *f)
		}
	}
	if over {
		return fields, KindHeaderList
	}
	return fields, 0
}

// sizeUpdates takes the updates that may stand only at the start of a block
// (RFC 7541, section 4.2).
func (d *Decoder) sizeUpdates(p []byte) ([]byte, bool) {
	if len(p) == 0 {
		return p, true
	}
	for len(p) > 0 && p[0]&0xe0 == 0x20 {
		v, n := readInt(p, 5)
		if n == 0 || v > d.allowed {
			return p, false
		}
		d.max, d.mustUpdate = v, false
		d.evict(0)
		p = p[n:]
	}
	return p, !d.mustUpdate
}

// lookup gives the field at an index, nil when there is none.
func (d *Decoder) lookup(i int) *Field {
	if i <= staticLen {
		if i <= 0 {
			return nil
		}
		return &staticTable[i]
	}
	if i -= staticLen; i > d.count {
		return nil
	}
	return &d.ring[(d.head-uint(i))&uint(len(d.ring)-1)]
}

// literal reads the three forms of a literal field (RFC 7541, section 6.2)
// into f and returns its length, 0 when it is broken. A size update in the
// middle of a block comes here, too, and is broken.
func (d *Decoder) literal(p []byte, f *Field) int {
	c := p[0]
	*f = Field{NeverIndex: c&0xf0 == 0x10}
	bits := uint8(4)
	index := c&0xc0 == 0x40
	if index {
		bits = 6
	} else if c >= 0x20 {
		return 0
	}
	i, n := readInt(p, bits)
	if n == 0 {
		return 0
	}
	if i == 0 {
		m := 0
		if f.Name, m = d.text(p[n:], &d.names); m == 0 {
			return 0
		}
		n += m
	} else if e := d.lookup(i); e != nil {
		f.Name = e.Name
	} else {
		return 0
	}
	v, m := d.text(p[n:], &d.values)
	if m == 0 {
		return 0
	}
	f.Value = v
	f.class = classify(f.Name, f.Value) // here, since a field is shared once it is decoded
	if index {
		d.insert(f)
	}
	return n + m
}

// text reads a string (RFC 7541, section 5.2) and its length in p, 0 when it
// is broken.
func (d *Decoder) text(p []byte, in *interner) (string, int) {
	if len(p) == 0 {
		return "", 0
	}
	v, n := readInt(p, 7)
	if n == 0 || v > len(p)-n {
		return "", 0
	}
	raw := p[n : n+v]
	if p[0] < 0x80 {
		return in.intern(raw), n + v
	}
	d.huffman = d.huffman[:0]
	if _, err := hpack.HuffmanDecode(&d.huffman, raw); err != nil {
		return "", 0
	}
	s := in.intern(d.huffman)
	if cap(d.huffman) > keepBlock {
		d.huffman = nil
	}
	return s, n + v
}

// huffmanBuffer collects what HuffmanDecode writes.
type huffmanBuffer []byte

func (b *huffmanBuffer) Write(p []byte) (int, error) {
	*b = append(*b, p...)
	return len(p), nil
}

// insert adds a field to the dynamic table (RFC 7541, section 4.4). f may be
// larger than the table, which empties it.
func (d *Decoder) insert(f *Field) {
	d.evict(f.size())
	if f.size() > d.max {
		return
	}
	if d.count == len(d.ring) {
		d.grow()
	}
	d.ring[d.head&uint(len(d.ring)-1)] = *f
	d.head++
	d.count++
	d.size += f.size()
}

// evict drops the oldest entries until need more bytes fit.
func (d *Decoder) evict(need int) {
	for d.count > 0 && d.size+need > d.max {
		e := &d.ring[(d.head-uint(d.count))&uint(len(d.ring)-1)]
		d.size -= e.size()
		*e = Field{}
		d.count--
	}
}

// grow doubles the ring; the table's size in bytes bounds it.
func (d *Decoder) grow() {
	ring := make([]Field, max(16, 2*len(d.ring)))
	for i := range d.count {
		ring[i] = d.ring[(d.head-uint(d.count)+uint(i))&uint(len(d.ring)-1)]
	}
	d.ring, d.head = ring, uint(d.count)
}
