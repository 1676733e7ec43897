package proxy

import (
	"sync"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/identify"
	"github.com/leno-mesh/leno/proxy/mux"
)

// linkSet is the links and opaque connections that are open inbound. The zero
// value is ready; it is safe for concurrent use.
type linkSet struct {
	shares shares[mesh.WorkloadID]

	mu    sync.Mutex
	links map[*mux.Conn]identify.Peer // guarded by mu
	held  map[*holding]struct{}       // guarded by mu

	arriving int  // connections that are no links yet, guarded by mu
	draining bool // guarded by mu
}

// holding is one opaque connection and who may have it.
type holding struct {
	identity mesh.Identity
	port     uint16
	up       flow.Duplex
}

// arrive counts a connection whose handshake begins. Its peer sends requests
// as soon as its own side of the handshake is done, so that a drain must wait
// for it as for a link.
func (s *linkSet) arrive() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arriving++
}

// gone takes back arrive for one that did not become a link.
func (s *linkSet) gone() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arriving--
}

// add makes a link of a connection that arrived. During a drain it is asked at
// once to open no more streams; those that came with it are served.
func (s *linkSet) add(l *mux.Conn, p identify.Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arriving--
	if s.draining {
		l.Drain()
	}
	if s.links == nil {
		s.links = make(map[*mux.Conn]identify.Peer)
	}
	s.links[l] = p
}

func (s *linkSet) remove(l *mux.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.links, l)
}

func (s *linkSet) hold(id mesh.Identity, port uint16, up flow.Duplex) *holding {
	h := &holding{id, port, up}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = make(map[*holding]struct{})
	}
	s.held[h] = struct{}{}
	return h
}

func (s *linkSet) let(h *holding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.held, h)
}

// drain asks every peer to open no more streams, also those that come later.
func (s *linkSet) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for l := range s.links {
		l.Drain()
	}
}

// tend drains links whose certificates have ended: the peer should have
// replaced them before.
func (s *linkSet) tend(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l, p := range s.links {
		if now.After(p.Until) {
			l.Drain()
		}
	}
}

// enforce ends the opaque connections that a new snapshot does not allow.
func (s *linkSet) enforce(own *ownState) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for h := range s.held {
		h.enforce(own)
	}
}

// enforce ends the connection if it is not allowed. Ports that are gone deny
// nobody: what is on them ends by itself.
func (h *holding) enforce(own *ownState) {
	access, served := own.access(h.port)
	if served && !access.Decide(h.identity).Allowed {
		h.up.Abort(flow.Denied)
	}
}

// open is the number of links, and of connections that may become some.
func (s *linkSet) open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.links) + s.arriving
}

// active is the number of requests and connections under way, handshakes
// included.
func (s *linkSet) active() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.links {
		n += l.Active()
	}
	return n + s.arriving
}
