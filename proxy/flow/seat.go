package flow

import (
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
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

	waits  atomic.Int32  // reads and writes that wait for the other end
	stamp  atomic.Uint64 // the clock when the connection last got something done
	proven atomic.Bool   // it got something done
	busy   atomic.Bool   // a request is under way
	moved  atomic.Int64  // bytes since the stamp
}

const (
	// seatProgress is how many bytes count as something done.
	seatProgress = 16 << 10
	// seatTrust is how much slower a seat ages whose connection has been of
	// use: newcomers that say nothing go first.
	seatTrust = 8
	// seatLook bounds how many seats are compared for one newcomer.
	seatLook = 1024
)

// Take gives the connection a seat, and closes the connection that had to give
// up its own, if that was needed. It gives nil when no seat could be had.
func (s *Seats) Take(c net.Conn) (seat *Seat, evicted bool) {
	seat = &Seat{conn: c, seats: s}
	s.mu.Lock()
	if s.Max > 0 && len(s.all) >= s.Max {
		victim := s.stalest()
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

// stalest finds the seat whose connection has kept the proxy waiting the
// longest, among those that are looked at. s.mu is held.
func (s *Seats) stalest() *Seat {
	var found *Seat
	var most uint64
	now := s.taken.Load() + 1
	from := rand.IntN(len(s.all)) // it spreads, it guards nothing
	for i := range min(len(s.all), seatLook) {
		seat := s.all[(from+i)%len(s.all)]
		if seat.waits.Load() == 0 {
			continue
		}
		age := (now - seat.stamp.Load()) * seatTrust
		if seat.proven.Load() {
			age /= seatTrust
		}
		if found == nil || age > most {
			found, most = seat, age
		}
	}
	return found
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
	if t, ok := s.conn.(interface{ SetLinger(sec int) error }); ok && s.busy.Load() {
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

// Wait says that from here on the other end is waited for; Work that it moved
// n bytes.
func (s *Seat) Wait() {
	if s != nil {
		s.waits.Add(1)
	}
}

// Work ends what Wait began.
func (s *Seat) Work(n int) {
	if s == nil {
		return
	}
	s.waits.Add(-1)
	if s.moved.Add(int64(n)) >= seatProgress {
		s.progress()
	}
}

// Idle says that a request has ended, or that none has begun.
func (s *Seat) Idle() {
	if s == nil || !s.busy.Load() {
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

func (s *Seat) progress() {
	s.moved.Store(0)
	s.stamp.Store(s.seats.taken.Load())
	s.proven.Store(true)
}
