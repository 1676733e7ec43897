package flow

import (
	"errors"
	"net"
	"testing"
	"time"
)

// endNoter is a connection that notes its end.
type endNoter struct {
	net.Conn
	name   string
	closed bool
	reset  bool
}

func (c *endNoter) RemoteAddr() net.Addr { return nil }

func (c *endNoter) Close() error            { c.closed = true; return nil }
func (c *endNoter) SetLinger(sec int) error { c.reset = sec == 0; return nil }

func taken(t *testing.T, s *Seats, name string) (*Seat, *endNoter) {
	t.Helper()
	c := &endNoter{name: name}
	seat, _ := s.Take(c)
	if seat == nil {
		t.Fatalf("%s got no seat", name)
	}
	return seat, c
}

// Who keeps the proxy waiting gives way, the one that has done so the longest
// first, and newcomers before those that have been of use.
func TestSeatsGiveWay(t *testing.T) {
	s := &Seats{Max: 4}
	works, _ := taken(t, s, "works")
	works.Busy()
	idle, idleConn := taken(t, s, "idle after a request")
	idle.Busy()
	idle.Idle()
	idle.Reads()
	slow, slowConn := taken(t, s, "slow head")
	slow.Reads()
	silent, silentConn := taken(t, s, "silent")
	silent.Reads()

	_, evicted := s.Take(&endNoter{})
	if !evicted || !slowConn.closed || silentConn.closed || idleConn.closed {
		t.Fatalf("evicted %v: slow %v, silent %v, idle %v", evicted, slowConn.closed, silentConn.closed, idleConn.closed)
	}
	if s.Len() != 4 {
		t.Errorf("%d seats taken, want 4", s.Len())
	}
	slow.Leave() // its goroutine ends later, and takes nobody's seat along
	if s.Len() != 4 {
		t.Errorf("%d seats taken after the evicted one left, want 4", s.Len())
	}
	if _, _ = s.Take(&endNoter{}); !silentConn.closed || idleConn.closed {
		t.Errorf("silent %v, idle %v", silentConn.closed, idleConn.closed)
	}
	if _, _ = s.Take(&endNoter{}); !idleConn.closed || idleConn.reset {
		t.Errorf("idle: closed %v, by reset %v", idleConn.closed, idleConn.reset)
	}
	if seat, evicted := s.Take(&endNoter{}); seat != nil || evicted {
		t.Error("a seat was taken from a connection that works")
	}
	works.Leave()
	if seat, evicted := s.Take(&endNoter{}); seat == nil || evicted {
		t.Error("the seat that was given back is not to be had")
	}
}

// A request that is cut must not look whole.
func TestSeatEndsRequestsByReset(t *testing.T) {
	s := &Seats{Max: 1}
	seat, c := taken(t, s, "slow reader")
	seat.Busy()
	seat.Reads()
	if _, _ = s.Take(&endNoter{}); !c.closed || !c.reset {
		t.Errorf("closed %v, by reset %v", c.closed, c.reset)
	}
}

// Where a peer is full, those give way that keep it waiting: the oldest first, those
// of use after the others, and nobody else.
func TestYield(t *testing.T) {
	full, other := &Place{}, &Place{}
	var s Seats
	sit := func(do ...func(*Seat)) *endNoter {
		seat, c := taken(t, &s, "")
		for _, f := range do {
			f(seat)
		}
		return c
	}
	uses := func(p *Place) func(*Seat) { return func(s *Seat) { s.Uses(p) } }
	used := func(p *Place) func(*Seat) { return func(s *Seat) { s.Used(p) } }
	open := func(p *Place) func(*Seat) { return func(s *Seat) { s.Begin(); s.Uses(p); s.Reads() } }
	end := func(p *Place, done bool) func(*Seat) { return func(s *Seat) { s.Read(0); s.Used(p); s.End(done) } }
	ofUse := sit((*Seat).Reads, open(full), open(full), end(full, true))
	first, takesBack := sit((*Seat).Busy, uses(full), (*Seat).Reads), sit((*Seat).Reads, open(full), open(full), end(full, false))
	unsaid, deaf := sit((*Seat).Hold, uses(full), (*Seat).Reads), sit((*Seat).Busy, uses(full), (*Seat).Writes)
	last := sit((*Seat).Reads, open(other), open(full), open(other), open(other), end(other, false))
	others := map[string]*endNoter{
		"at another peer":                               sit((*Seat).Busy, uses(other), (*Seat).Reads),
		"whose peer works":                              sit((*Seat).Busy, uses(full)),
		"without a request":                             sit((*Seat).Busy, uses(full), used(full), (*Seat).Idle, (*Seat).Reads),
		"with nothing held yet":                         sit((*Seat).Reads),
		"that said more":                                sit((*Seat).Busy, uses(full), (*Seat).Reads),
		"that moved just now":                           sit((*Seat).Busy, uses(full), (*Seat).Reads),
		"with a stream elsewhere, and one there before": sit((*Seat).Reads, open(other), open(full), end(full, false)),
	}
	s.sight = func(c net.Conn) sight {
		if c == others["that said more"] {
			return seesBytes // the proxy is late
		}
		return seesNothing
	}
	s.silence = func(c net.Conn) time.Duration {
		if c == others["that moved just now"] {
			return yieldSilence - 1
		}
		return yieldSilence
	}
	for i, c := range []*endNoter{first, takesBack, unsaid, deaf, last, ofUse} {
		if !s.Yield(&Place{}, full) || !c.closed {
			t.Errorf("the one at %d did not end", i)
		}
	}
	if s.Yield(full) {
		t.Error("one more ended")
	}
	for name, c := range others {
		if c.closed {
			t.Errorf("one %s ended", name)
		}
	}
}

// Places that are not used any more are not kept for ever.
func TestPlaces(t *testing.T) {
	var p places
	all := make([]Place, 3*keepPlaces)
	for i := range all {
		p.add(&all[i], 1)
		p.add(&all[i], 1)
	}
	for i := range all {
		if p.add(&all[i], -1); !p.has([]*Place{{}, &all[i]}) {
			t.Fatalf("place %d is not in use", i)
		}
		if p.add(&all[i], -1); p.has([]*Place{&all[i]}) {
			t.Fatalf("place %d is in use", i)
		}
	}
	if len(p.all) != keepPlaces {
		t.Errorf("%d places are kept, want %d", len(p.all), keepPlaces)
	}
}

// Bytes that move keep a slow connection its seat; single ones do not.
func TestSeatProgress(t *testing.T) {
	s := &Seats{Max: 2}
	upload, uploadConn := taken(t, s, "upload")
	drip, dripConn := taken(t, s, "drip")
	for range 8 {
		upload.Reads()
		upload.Read(seatProgress / 4)
		drip.Reads()
		drip.Read(1)
	}
	upload.Reads()
	drip.Reads()
	if _, _ = s.Take(&endNoter{}); uploadConn.closed || !dripConn.closed {
		t.Errorf("upload closed %v, drip closed %v", uploadConn.closed, dripConn.closed)
	}
}

func TestNilSeat(t *testing.T) {
	var s *Seat
	s.Reads()
	s.Read(1)
	s.Busy()
	s.Idle()
	s.Leave()
}

// Wide buffers are shared by all connections, and come back however the
// connection ends.
func TestWideBuffers(t *testing.T) {
	pool := &Buffers{Wide: LargeBuffer}
	fill := func(n int) (*Conn, error) {
		a, b := net.Pipe()
		go func() {
			_, _ = b.Write(make([]byte, n))
			_ = b.Close()
		}()
		c := NewConn(a, pool)
		for len(c.Bytes()) < n {
			if err := c.Fill(); err != nil {
				return c, err
			}
		}
		return c, nil
	}
	first, err := fill(10 << 10)
	if err != nil || pool.Used() != LargeBuffer-SmallBuffer {
		t.Fatalf("%v, %d in use", err, pool.Used())
	}
	second, err := fill(10 << 10)
	if !errors.Is(err, ErrNoRoom) {
		t.Errorf("%v, want %v", err, ErrNoRoom)
	}
	if !pool.keep(SmallBuffer) || pool.keep(1) {
		t.Error("a quarter is for bodies that are kept")
	}
	pool.drop(SmallBuffer)
	_ = second.Close()
	_ = first.Close()
	first.Free()
	second.Free()
	if pool.Used() != 0 {
		t.Errorf("%d bytes never came back", pool.Used())
	}
	third, err := fill(10 << 10)
	if err != nil {
		t.Error(err)
	}
	third.Consume(10 << 10)
	third.Shrink()
	third.Abort()
	third.Free()
	if pool.Used() != 0 {
		t.Errorf("%d bytes never came back", pool.Used())
	}
}
