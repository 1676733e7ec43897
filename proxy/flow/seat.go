package flow

import (
	"math"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
)

// Seats bounds the connections of one side of a proxy. When all are taken, a
// new connection gets the seat of one that keeps the proxy waiting: slow heads
// and bodies, readers that do not read, connections on which nothing was ever
// said, and at last those that are idle between two requests. What the proxy
// itself works on, and opaque connections that stand, keep their seats.
//
// It is safe for concurrent use.
type Seats struct {
	// Max is how many there are; 0 means no bound.
	Max int

	taken atomic.Uint64 // connections seated so far: the clock by which seats age

	mu  sync.Mutex
	all []*Seat // guarded by mu
}

// Seat is one connection's place. A nil Seat is one that nobody counts.
type Seat struct {
	conn  net.Conn
	seats *Seats
	at    int // guarded by seats.mu; index in all, -1 when it was given back

	reads   atomic.Int32  // reads that wait for the other end
	writes  atomic.Int32  // and writes
	stamp   atomic.Uint64 // the clock when the connection last got something done
	proven  atomic.Bool   // it got something done
	busy    atomic.Bool   // a request is under way
	streams atomic.Int32  // that are under way, where there are many
	holds   atomic.Bool   // a way to the server was opened for it
	moved   atomic.Int64  // bytes since the stamp
}

const (
	// seatProgress is how many bytes count as something done.
	seatProgress = 16 << 10
	// seatTrust is how much slower a seat ages whose connection has been of
	// use: newcomers that say nothing go first.
	seatTrust = 8
	// seatLook bounds how many seats are compared for one newcomer.
	seatLook = 1024
	// seatTries bounds how many of them are asked whether they wait indeed.
	seatTries = 8
)

// Take gives the connection a seat, and closes the connection that had to give
// up its own, if that was needed. It gives nil when no seat could be had.
func (s *Seats) Take(c net.Conn) (seat *Seat, evicted bool) {
	seat = &Seat{conn: c, seats: s}
	s.mu.Lock()
	if s.Max > 0 && len(s.all) >= s.Max {
		victim := s.stalest(false)
		if victim == nil {
			s.mu.Unlock()
			return nil, false
		}
		s.remove(victim)
		evicted = true
		defer victim.end()
	}
	seat.stamp.Store(s.taken.Add(1))
	seat.at = len(s.all)
	s.all = append(s.all, seat)
	s.mu.Unlock()
	return seat, evicted
}

// Yield ends up to n connections that have kept the proxy waiting the longest
// while they hold something elsewhere, in the middle of a request or before one.
// It gives how many there were.
func (s *Seats) Yield(n int) (ended int) {
	for ; ended < n; ended++ {
		s.mu.Lock()
		victim := s.stalest(true)
		if victim != nil {
			s.remove(victim)
		}
		s.mu.Unlock()
		if victim == nil {
			break
		}
		victim.end()
	}
	return ended
}

// stalest finds the seat whose connection has kept the proxy waiting the
// longest, among those that are looked at; with holding set only one that holds
// something elsewhere. s.mu is held.
func (s *Seats) stalest(holding bool) *Seat {
	if len(s.all) == 0 {
		return nil
	}
	from := rand.IntN(len(s.all)) // it spreads, it guards nothing
	below := uint64(math.MaxUint64)
	var oldest *Seat
	for range seatTries {
		var found *Seat
		var most uint64
		for i := range min(len(s.all), seatLook) {
			seat := s.all[(from+i)%len(s.all)]
			age := seat.age(s.taken.Load())
			if age < below && age > most && (!holding || seat.working() || seat.holds.Load()) && seat.waits() {
				found, most = seat, age
			}
		}
		if found == nil {
			break
		}
		if found.writes.Load() > 0 || !readable(found.conn) {
			return found
		}
		below = most // what it said waits for us
		if oldest == nil && !found.proven.Load() {
			oldest = found
		}
	}
	return oldest
}

// age is how long the seat has got nothing done, on the clock of the seats,
// and never 0.
func (s *Seat) age(now uint64) uint64 {
	age := (now-s.stamp.Load())*seatTrust + seatTrust
	if s.proven.Load() {
		age /= seatTrust
	}
	return age
}

func (s *Seat) waits() bool { return s.reads.Load() > 0 || s.writes.Load() > 0 }

// readable says whether a connection has bytes or an end that nobody has read
// yet: then it is the proxy that is late.
func readable(c net.Conn) (yes bool) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	_ = raw.Control(func(fd uintptr) {
		var b [1]byte
		_, _, e := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		yes = e == nil
	})
	return yes
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
	defer s.mu.Unlock()
	for _, seat := range s.all {
		_ = seat.conn.Close()
	}
}

// end closes the connection of a seat that was taken away. One in the middle
// of a request must not look as if it had ended well.
func (s *Seat) end() {
	if t, ok := s.conn.(interface{ SetLinger(sec int) error }); ok && s.working() {
		_ = t.SetLinger(0)
	}
	_ = s.conn.Close()
}

// Leave gives the seat back.
func (s *Seat) Leave() {
	if s == nil {
		return
	}
	s.seats.mu.Lock()
	defer s.seats.mu.Unlock()
	s.seats.remove(s)
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
		s.busy.Store(true)
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

// End ends what Begin began.
func (s *Seat) End() {
	if s != nil {
		s.reads.Add(1)
		s.streams.Add(-1)
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
