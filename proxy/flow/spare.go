package flow

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Link is what a connection of many streams is to its seat. One without streams
// can be asked to end: the other end opens another one when it needs it.
type Link interface {
	// Idle is how long it has had no stream; 0 while it has some.
	Idle() time.Duration
	// Drain asks the other end to use it no more. It must not block.
	Drain()
}

const (
	// PartTime is how long a link that was asked to end may take. Its seat is
	// another's by then.
	PartTime = 30 * time.Second
	// partShare bounds the links that were asked to end and have not, as a part
	// of all seats: what is past it ends at once.
	partShare = 8
	// freshLink is how long a link is let alone that has no stream yet: its first
	// one is on its way.
	freshLink = time.Second
	// DefaultLately is the default of Seats.Lately.
	DefaultLately = 10 * time.Second
)

// Links says that the connection is a link.
func (s *Seat) Links(l Link) {
	if s != nil {
		s.link.Store(&l)
	}
}

// Opaque says that the connection carries bytes that nobody here looks at, to the
// other end. When the seat is taken away that ends too: once one direction has
// ended, nobody reads the connection any more who could tell.
func (s *Seat) Opaque(other Duplex) {
	s.OnEnd(func() { other.Abort(ClientGone) })
	if s != nil {
		s.opaque.Store(true)
	}
}

// giver finds who gives up the seat for a newcomer. s.mu is held.
func (s *Seats) giver(newcomer netip.Prefix) *Seat {
	waits, unread := s.stalest(0, func(*Seat) bool { return true })
	waits = cmp.Or(waits, unread)
	if waits != nil && (waits.working() || !waits.proven.Load()) {
		return waits
	}
	// Between two requests somebody may be about to ask. A link loses nothing.
	if link := s.idleLink(); link != nil {
		return link
	}
	if gone := s.gone(); gone != nil {
		return gone
	}
	if waits != nil {
		return waits
	}
	return s.quietest(newcomer)
}

// spare is a seat whose connection may be spared, and for how long it has been
// idle.
type spare struct {
	*Seat
	idle time.Duration
}

// before says whether a gives way before b: whoever has the most seats does, and
// of these the one that has been idle the longest.
func (a spare) before(b spare, has map[netip.Prefix]int) bool {
	if has[a.owner] != has[b.owner] {
		return has[a.owner] > has[b.owner]
	}
	return a.idle > b.idle
}

// some goes over the seats from any one on, as far as they are looked at. s.mu is
// held.
func (s *Seats) some(do func(*Seat)) {
	from := rand.IntN(len(s.all)) // it spreads, it guards nothing
	for i := range min(len(s.all), seatLook) {
		do(s.all[(from+i)%len(s.all)])
	}
}

// owners counts the seats by who has them. s.mu is held.
func (s *Seats) owners() map[netip.Prefix]int {
	has := make(map[netip.Prefix]int)
	s.some(func(seat *Seat) { has[seat.owner]++ })
	return has
}

// idleLink finds a link that has had no streams for a while. s.mu is held.
func (s *Seats) idleLink() *Seat {
	var found []spare
	s.some(func(seat *Seat) {
		if l := seat.link.Load(); l != nil {
			if idle := (*l).Idle(); idle >= freshLink {
				found = append(found, spare{seat, idle})
			}
		}
	})
	if len(found) == 0 {
		return nil
	}
	return first(found, s.owners())
}

// quietest finds an opaque connection on which no byte has moved lately. Where
// bytes move on all of them, only whoever would have more than the newcomer
// afterwards loses one. s.mu is held.
func (s *Seats) quietest(newcomer netip.Prefix) *Seat {
	lately := cmp.Or(s.Lately, DefaultLately)
	var quiet, moving []spare
	peeks := 0
	s.some(func(seat *Seat) {
		if !seat.opaque.Load() || peeks >= seatPeeks {
			return
		}
		peeks++
		if idle := s.silent(seat); idle >= lately {
			quiet = append(quiet, spare{seat, idle})
		} else {
			moving = append(moving, spare{seat, idle})
		}
	})
	if len(quiet)+len(moving) == 0 {
		return nil
	}
	has := s.owners()
	if seat := first(quiet, has); seat != nil {
		return seat
	}
	if seat := first(moving, has); has[seat.owner] > has[newcomer]+1 {
		return seat
	}
	return nil
}

// silent is how long no byte has moved on a seat's connection.
func (s *Seats) silent(seat *Seat) time.Duration {
	if s.silence != nil {
		return s.silence(seat.conn)
	}
	return silenceOf(seat.conn)
}

// first gives the one that gives way before all others, or nil.
func first(all []spare, has map[netip.Prefix]int) *Seat {
	if len(all) == 0 {
		return nil
	}
	best := all[0]
	for _, a := range all[1:] {
		if a.before(best, has) {
			best = a
		}
	}
	return best.Seat
}

// part takes the seat of a link that is to end by itself. It gives one that had
// its time already, if there are too many of these. s.mu is held.
func (s *Seats) part(seat *Seat) (late *Seat) {
	seat.until = time.Now().Add(cmp.Or(s.Part, PartTime))
	s.parting = append(s.parting, seat)
	if len(s.parting) > s.Max/partShare+1 {
		late = s.parting[0]
		s.parting = s.parting[1:]
	}
	return late
}

// overdue gives the links whose time to end is over. s.mu is held.
func (s *Seats) overdue(now time.Time) (late []*Seat) {
	for len(s.parting) > 0 && now.After(s.parting[0].until) {
		late = append(late, s.parting[0])
		s.parting = s.parting[1:]
	}
	return late
}
