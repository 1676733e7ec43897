package flow

import (
	"cmp"
	"slices"
	"time"
)

const (
	// DefaultIdle and DefaultSlow are the numbers that a proxy has for Seats.Idle
	// and Seats.Slow.
	DefaultIdle = time.Hour
	DefaultSlow = time.Minute
	// idleLooks is how often idle connections are looked for until one has been
	// idle for too long.
	idleLooks = 60
)

// Sweep ends the connections that were reset by their clients while the proxy
// waited for somebody else, and so did not read them, the links that did not end
// by themselves in time, and those that were idle for too long. It is called
// every second. Excess is by how many streams there are too many: as many as that
// are ended, where all of a connection wait for its client and that is silent. It
// gives how many were.
func (s *Seats) Sweep(excess int) (ended int) {
	now := time.Now()
	s.mu.Lock()
	dead := s.overdue(now)
	idle := s.Idle > 0 && !now.Before(s.idleLook)
	if idle {
		s.idleLook = now.Add(max(s.Idle/idleLooks, time.Second))
	}
	for _, seat := range s.all {
		switch {
		case seat.working() && !seat.waits():
			if look(seat.conn) == seesReset {
				dead = append(dead, seat)
			}
		case idle && seat.idles() && s.silent(seat) >= s.Idle:
			dead = append(dead, seat)
		}
	}
	for _, seat := range s.slow(excess) {
		ended += int(seat.streams.Load())
		dead = append(dead, seat)
	}
	for _, seat := range dead {
		s.remove(seat)
	}
	s.mu.Unlock()
	for _, seat := range dead {
		seat.end()
	}
	return ended
}

// idles says whether the connection is one for requests and has none under way.
// What has a way to a server may be of any protocol, and is let alone.
func (s *Seat) idles() bool {
	return !s.working() && s.waits() && !s.opaque.Load() && !s.holds.Load() && s.link.Load() == nil
}

// slow finds connections whose streams all wait for their client, the one that
// has been silent the longest first, until they have as many streams as are too
// many. s.mu is held.
func (s *Seats) slow(excess int) (found []*Seat) {
	if s.Slow <= 0 || excess <= 0 {
		return nil
	}
	var all []spare
	for _, seat := range s.all {
		if seat.streams.Load() > 0 && seat.waits() {
			if silent := s.silent(seat); silent >= s.Slow {
				all = append(all, spare{seat, silent})
			}
		}
	}
	slices.SortFunc(all, func(a, b spare) int { return cmp.Compare(b.idle, a.idle) })
	for _, a := range all {
		if excess <= 0 {
			break
		}
		found = append(found, a.Seat)
		excess -= int(a.streams.Load())
	}
	return found
}
