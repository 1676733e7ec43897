package flow

import (
	"cmp"
	"slices"
	"time"
)

const (
	// DefaultIdle and DefaultSlow are the numbers that a proxy has for Seats.Idle and
	// Seats.Slow, DefaultEnded is the default of Seats.Ended.
	DefaultIdle  = time.Hour
	DefaultSlow  = time.Minute
	DefaultEnded = 5 * time.Second
	// idleLooks is how often idle connections are looked for until one has been
	// idle for too long.
	idleLooks = 60
)

// Swept is what Sweep ended: because streams or seats were short, and because it was
// idle.
type Swept struct{ Conns, Streams, Idle int }

// Sweep ends the connections whose clients went away while the proxy waited for
// somebody else, and so did not read them, the links that did not end
// by themselves in time, and those that were idle for too long. It is called
// every second. Excess is by how many streams there are too many: connections with
// as many as that are ended, where all of a connection wait for its client and that
// is silent. So are those that are too many where the seats are nearly all taken.
func (s *Seats) Sweep(excess int) (ended Swept) {
	now := time.Now()
	s.mu.Lock()
	dead := s.overdue(now)
	idle := s.Idle > 0 && !now.Before(s.idleLook)
	if idle {
		s.idleLook = now.Add(max(s.Idle/idleLooks, time.Second))
	}
	for _, seat := range s.all {
		switch {
		case seat.awaits():
			if s.left(seat, cmp.Or(s.Ended, DefaultEnded)) {
				dead = append(dead, seat)
			}
		case idle && seat.idles() && s.silent(seat) >= s.Idle:
			ended.Idle++
			dead = append(dead, seat)
		}
	}
	var told []*Seat
	for _, seat := range s.slow(excess) {
		ended.Conns++
		ended.Streams += int(seat.streams.Load())
		if seat.tells() {
			told = append(told, seat)
		} else {
			dead = append(dead, seat)
		}
	}
	for _, seat := range dead {
		s.remove(seat)
	}
	s.mu.Unlock()
	for _, seat := range told {
		(*seat.onSlow.Load())()
	}
	for _, seat := range dead {
		seat.end()
	}
	return ended
}

// OnSlow has f called when the request under way is given up because its body does
// not come, so that the client can be told. It must be quick. The seat stays until
// the connection ends, but not for long.
func (s *Seat) OnSlow(f func()) {
	if s != nil {
		s.onSlow.Store(&f)
	}
}

// tells says whether a slow client can be told that it is: only one that does not
// keep the proxy from writing, and once. s.seats.mu is held.
func (s *Seat) tells() bool {
	if s.told || s.onSlow.Load() == nil || s.writes.Load() > 0 {
		return false
	}
	s.told = true
	return true
}

// idles says whether the connection is one for requests and has none under way.
// What has a way to a server may be of any protocol, and is let alone.
func (s *Seat) idles() bool {
	return !s.working() && s.waits() && !s.opaque.Load() && !s.holds.Load() && s.link.Load() == nil
}

// slow finds connections whose requests all wait for their client, the one that
// has been silent the longest first, until they have as many streams as are too
// many, and are as many as there are too many with seats. s.mu is held.
func (s *Seats) slow(streams int) (found []*Seat) {
	conns := s.tooMany()
	if s.Slow <= 0 || streams <= 0 && conns <= 0 {
		return nil
	}
	var all []spare
	for _, seat := range s.all {
		if seat.kept() {
			if silent := s.silent(seat); silent >= s.Slow {
				all = append(all, spare{seat, silent})
			}
		}
	}
	slices.SortFunc(all, func(a, b spare) int { return cmp.Compare(b.idle, a.idle) })
	for _, a := range all {
		n := int(a.streams.Load())
		if conns <= 0 && (streams <= 0 || n == 0) {
			continue
		}
		found = append(found, a.Seat)
		conns--
		streams -= n
	}
	return found
}

// tooMany is by how many more than seven eighths of the seats are taken. Those
// count as free whose clients were told to let go of them. s.mu is held.
func (s *Seats) tooMany() int {
	if s.Max <= 0 {
		return 0
	}
	n := len(s.all) - (s.Max - s.Max/8)
	for i := 0; n > 0 && i < len(s.all); i++ {
		if s.all[i].told {
			n--
		}
	}
	return n
}

// kept says whether the connection has requests, all of which wait for its client.
func (s *Seat) kept() bool { return s.working() && s.waits() && !s.opaque.Load() }
