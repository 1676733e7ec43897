package flow

import "sync"

// Place is where requests lead: a peer. Its address is all that counts.
type Place struct{ _ byte }

// places counts what a connection has at each place. It is safe for concurrent use.
type places struct {
	mu  sync.Mutex
	all []placed // guarded by mu
}

type placed struct {
	at *Place
	n  int
}

// keepPlaces is how many places without anything are remembered: mostly the next
// request leads to one of them.
const keepPlaces = 4

func (p *places) add(at *Place, n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.all {
		if e := &p.all[i]; e.at == at {
			if e.n += n; e.n == 0 && len(p.all) > keepPlaces {
				*e = p.all[len(p.all)-1]
				p.all = p.all[:len(p.all)-1]
			}
			return
		}
	}
	p.all = append(p.all, placed{at, n})
}

// has says whether something is at one of these places.
func (p *places) has(at []*Place) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.all {
		for _, a := range at {
			if e.n > 0 && e.at == a {
				return true
			}
		}
	}
	return false
}

// Uses says that from here on one request more of the connection, or what was opened
// before it had one, has something at a place.
func (s *Seat) Uses(at *Place) {
	if s != nil {
		s.places.add(at, 1)
	}
}

// Used ends what Uses began.
func (s *Seat) Used(at *Place) {
	if s != nil {
		s.places.add(at, -1)
	}
}
