package flow

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/crowd"
)

// Seats bounds the connections of one side of a proxy. When all are taken, a
// new connection gets the seat of one that keeps the proxy waiting: slow heads
// and bodies, readers that do not read, connections on which nothing was ever
// said, links without streams, those whose clients went away from their requests,
// those that are idle between two requests, and at last opaque ones on which
// nothing moves. What the proxy itself works on keeps
// its seat.
//
// It is safe for concurrent use.
type Seats struct {
	// Max is how many there are; 0 means no bound.
	Max int
	// Lately is how long ago bytes must have moved on an opaque connection for it
	// to give way while others keep theirs. Default DefaultLately.
	Lately time.Duration
	// Part is how long a link that gave way may take to end. Default PartTime.
	Part time.Duration
	// Idle is how long a connection may be silent between two requests, and Slow
	// how long one whose requests all wait for it, once there are too many streams
	// or hardly a seat is left. 0 means no bound.
	Idle, Slow time.Duration
	// Ended is how long a client that has ended its direction may wait for more of
	// its answer. Default DefaultEnded.
	Ended time.Duration

	silence func(net.Conn) time.Duration // in place of the kernel's word, for tests
	sight   func(net.Conn) sight         // the same

	taken atomic.Uint64 // connections seated so far: the clock by which seats age

	mu  sync.Mutex
	all []*Seat // guarded by mu
	// parting are links that lost their seats and end by themselves, the one that
	// began to the longest ago first.
	parting  []*Seat   // guarded by mu
	idleLook time.Time // guarded by mu; when idle ones are looked for again
}

// Seat is one connection's place. A nil Seat is one that nobody counts.
type Seat struct {
	conn  net.Conn
	seats *Seats
	owner netip.Prefix // whose connection it is
	until time.Time    // guarded by seats.mu; when a parting link is cut
	at    int          // guarded by seats.mu; index in all, -1 when it was given back

	reads   atomic.Int32  // reads that wait for the other end
	writes  atomic.Int32  // and writes
	stamp   atomic.Uint64 // the clock when the connection last got something done
	proven  atomic.Bool   // it got something done
	busy    atomic.Bool   // a request is under way
	streams atomic.Int32  // that are under way, where there are many
	holds   atomic.Bool   // a way to the server was opened for it
	places  places
	// answered says that the answer is whole, whatever the request's body does.
	answered atomic.Bool
	moved    atomic.Int64 // bytes since the stamp
	// onEnd wakes up who works for the connection when it is taken away.
	onEnd  atomic.Pointer[func()]
	onSlow atomic.Pointer[func()] // see OnSlow
	told   bool                   // guarded by seats.mu; onSlow was called
	link   atomic.Pointer[Link]   // nil: it is none
	opaque atomic.Bool            // it stands, and bytes go by unseen
}

const (
	// seatProgress is how many bytes count as something done.
	seatProgress = 16 << 10
	// seatTrust is how much slower a seat ages whose connection has been of
	// use: newcomers that say nothing go first.
	seatTrust = 8
	// seatLook bounds how many seats are compared for one newcomer.
	seatLook = 1024
	// seatPeeks bounds how many are looked at for a client that went away.
	seatPeeks = 128
	// yieldSilence is how long no byte must have moved on a connection that gives way
	// to another at a full peer: its client may be only a moment late.
	yieldSilence = 100 * time.Millisecond
	// seatTries bounds how many of them are asked whether they wait indeed.
	seatTries = 8
)

// Take gives the connection a seat, and ends the connection that had to give up
// its own, if that was needed. It gives nil when no seat could be had.
func (s *Seats) Take(c net.Conn) (seat *Seat, evicted bool) {
	seat = &Seat{conn: c, seats: s, owner: crowd.Network(c.RemoteAddr())}
	s.mu.Lock()
	if s.Max > 0 && len(s.all) >= s.Max {
		victim := s.giver(seat.owner)
		if victim == nil {
			s.mu.Unlock()
			return nil, false
		}
		s.remove(victim)
		evicted = true
		if l := victim.link.Load(); l != nil {
			defer (*l).Drain()
			victim = s.part(victim)
		}
		if victim != nil {
			defer victim.end()
		}
	}
	seat.stamp.Store(s.taken.Add(1))
	seat.at = len(s.all)
	s.all = append(s.all, seat)
	s.mu.Unlock()
	return seat, evicted
}

// Yield ends the connection that has kept the proxy waiting the longest while it has
// something at one of these places, in the middle of a request or before one. It
// says whether there was one.
func (s *Seats) Yield(at ...*Place) bool {
	s.mu.Lock()
	victim, _ := s.stalest(yieldSilence, func(seat *Seat) bool { return seat.places.has(at) })
	if victim != nil {
		s.remove(victim)
	}
	s.mu.Unlock()
	if victim == nil {
		return false
	}
	victim.end()
	return true
}

// remove takes a seat out. s.mu is held.
func (s *Seats) remove(seat *Seat) {
	if seat.at < 0 {
		return
	}
	last := s.all[len(s.all)-1]
	s.all[seat.at] = last
	last.at = seat.at
	s.all[len(s.all)-1] = nil
	s.all = s.all[:len(s.all)-1]
	seat.at = -1
}

// Len is how many seats are taken.
func (s *Seats) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.all)
}

// Close closes every connection, which ends whoever reads or writes it.
func (s *Seats) Close() {
	s.mu.Lock()
	all := slices.Concat(s.all, s.parting)
	s.mu.Unlock()
	for _, seat := range all {
		_ = seat.conn.Close()
		if f := seat.onEnd.Load(); f != nil && seat.opaque.Load() {
			(*f)()
		}
	}
}

// end closes the connection of a seat that was taken away. One in the middle
// of a request, or with bytes that nobody knows the end of, must not look as if it
// had ended well.
func (s *Seat) end() {
	if t, ok := s.conn.(interface{ SetLinger(sec int) error }); ok && (s.working() || s.opaque.Load()) {
		_ = t.SetLinger(0)
	}
	_ = s.conn.Close()
	if f := s.onEnd.Load(); f != nil {
		(*f)()
	}
}

// OnEnd has f called when the seat is taken away. It must be quick.
func (s *Seat) OnEnd(f func()) {
	if s != nil {
		s.onEnd.Store(&f)
	}
}

// Leave gives the seat back.
func (s *Seat) Leave() {
	if s == nil {
		return
	}
	s.seats.mu.Lock()
	defer s.seats.mu.Unlock()
	s.seats.remove(s)
	if i := slices.Index(s.seats.parting, s); i >= 0 {
		s.seats.parting = slices.Delete(s.seats.parting, i, i+1)
	}
}

// Reads says that from here on the other end is waited for to say something.
func (s *Seat) Reads() {
	if s != nil {
		s.reads.Add(1)
	}
}

// Read ends what Reads began: n bytes came.
func (s *Seat) Read(n int) {
	if s != nil {
		s.reads.Add(-1)
		s.move(n)
	}
}

// Writes says that from here on the other end is waited for to take something.
func (s *Seat) Writes() {
	if s != nil {
		s.writes.Add(1)
	}
}

// Wrote ends what Writes began: n bytes were taken.
func (s *Seat) Wrote(n int) {
	if s != nil {
		s.writes.Add(-1)
		s.move(n)
	}
}

func (s *Seat) move(n int) {
	if s.moved.Add(int64(n)) >= seatProgress {
		s.progress()
	}
}

// Idle says that a request has ended, or that none has begun.
func (s *Seat) Idle() {
	if s == nil {
		return
	}
	s.holds.Store(false)
	if !s.busy.Load() {
		return
	}
	s.busy.Store(false)
	s.progress()
}

// Busy says that a request is under way.
func (s *Seat) Busy() {
	if s != nil {
		s.answered.Store(false)
		s.busy.Store(true)
	}
}

// Answered says that the answer to the request under way was given whole. What is left
// of the request is the application's to take: the client may have left.
func (s *Seat) Answered() {
	if s != nil {
		s.answered.Store(true)
	}
}

// Begin says that one more stream of a connection with many is under way. Such a
// connection keeps the proxy waiting when nothing is under way on it, or when
// each of its streams does.
func (s *Seat) Begin() {
	if s != nil {
		s.streams.Add(1)
		s.reads.Add(-1)
	}
}

// End ends what Begin began, and says whether that got something done: a stream that
// was taken back did not.
func (s *Seat) End(done bool) {
	if s == nil {
		return
	}
	s.reads.Add(1)
	s.streams.Add(-1)
	if done {
		s.progress()
	}
}

// working says whether a request is under way.
func (s *Seat) working() bool { return s.busy.Load() || s.streams.Load() > 0 }

// Hold says that a way to the server was opened for a connection that has not
// said yet what it is.
func (s *Seat) Hold() {
	if s != nil {
		s.holds.Store(true)
	}
}

func (s *Seat) progress() {
	s.moved.Store(0)
	s.stamp.Store(s.seats.taken.Load())
	s.proven.Store(true)
}
