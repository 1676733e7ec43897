package flow

import (
	"errors"
	"math"
	"math/rand/v2"
	"net"
	"syscall"
)

// gone finds a connection whose client has ended its direction and waits for an
// answer that nobody has yet: mostly it went away. s.mu is held.
func (s *Seats) gone() *Seat {
	from := rand.IntN(len(s.all)) // it spreads, it guards nothing
	for i := range min(len(s.all), seatPeeks) {
		seat := s.all[(from+i)%len(s.all)]
		if !seat.working() || seat.waits() {
			continue
		}
		if v := look(seat.conn); v == seesEnd || v == seesReset {
			return seat
		}
	}
	return nil
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
		if found.writes.Load() > 0 || look(found.conn) == seesNothing {
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

// sight is what a look at a connection finds that nobody has read yet.
type sight uint8

const (
	seesNothing sight = iota
	seesBytes         // the proxy is late, not the other end
	seesEnd
	seesReset
)

// look looks at a connection without reading it and without waiting.
func look(c net.Conn) (found sight) {
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
