package flow

import (
	"errors"
	"math"
	"math/rand/v2"
	"net"
	"syscall"
	"time"
)

// gone finds a connection whose client has ended its direction and waits for an
// answer that nobody has yet: mostly it went away. s.mu is held.
func (s *Seats) gone() (found *Seat) {
	peeks := 0
	s.some(func(seat *Seat) {
		if found != nil || peeks >= seatPeeks || !seat.awaits() {
			return
		}
		peeks++
		if s.left(seat, 0) {
			found = seat
		}
	})
	return found
}

// awaits says whether the client is the one that waits, for an answer.
func (s *Seat) awaits() bool { return s.working() && !s.waits() && !s.answered.Load() }

// left says whether the client that waits for an answer went away. One that has ended
// its direction mostly did; but some end it behind their last request, so it counts
// only once no byte has moved for so long. On an opaque connection its end says
// nothing. s.mu is held.
func (s *Seats) left(seat *Seat, silent time.Duration) bool {
	switch s.look(seat) {
	case seesReset:
		return true
	case seesEnd:
		return !seat.opaque.Load() && s.silent(seat) >= silent
	}
	return false
}

// stalest finds the seat whose connection has kept the proxy waiting the
// longest, among those that are looked at and that may be the one. Where the proxy is
// late with all of these, unread is the oldest one of them that has never been of use.
// No byte must have moved on the one that is found for as long as silent. s.mu is held.
func (s *Seats) stalest(silent time.Duration, may func(*Seat) bool) (found, unread *Seat) {
	if len(s.all) == 0 {
		return nil, nil
	}
	from := rand.IntN(len(s.all)) // it spreads, it guards nothing
	below := uint64(math.MaxUint64)
	for range seatTries {
		var oldest *Seat
		var most uint64
		for i := range min(len(s.all), seatLook) {
			seat := s.all[(from+i)%len(s.all)]
			age := seat.age(s.taken.Load())
			if age < below && age > most && seat.waits() && may(seat) {
				oldest, most = seat, age
			}
		}
		if oldest == nil {
			break
		}
		if s.silent(oldest) >= silent && (oldest.writes.Load() > 0 || s.look(oldest) == seesNothing) {
			return oldest, nil
		}
		below = most // what it said waits for us, or it said something just now
		if unread == nil && !oldest.proven.Load() {
			unread = oldest
		}
	}
	return nil, unread
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

// sight is what a look at a connection finds that nobody has read yet.
type sight uint8

const (
	seesNothing sight = iota
	seesBytes         // the proxy is late, not the other end
	seesEnd
	seesReset
)

// look looks at a seat's connection without reading it and without waiting.
func (s *Seats) look(seat *Seat) sight {
	if s.sight != nil {
		return s.sight(seat.conn)
	}
	return sightOf(seat.conn)
}

func sightOf(c net.Conn) (found sight) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return seesNothing
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return seesNothing
	}
	_ = raw.Control(func(fd uintptr) {
		var b [1]byte
		n, _, err := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case err == nil && n > 0:
			found = seesBytes
		case err == nil:
			found = seesEnd
		case errors.Is(err, syscall.ECONNRESET):
			found = seesReset
		}
	})
	return found
}
