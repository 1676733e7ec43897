package proxy

import (
	"cmp"
	"math"
	"sync"

	"github.com/leno-mesh/leno/proxy/mux"
)

// shares is what each peer has of this proxy: a workload by its links, or a client
// by its connections of HTTP/2. It keeps one from taking what all have. It is safe
// for concurrent use.
type shares[K comparable] struct {
	// mostLinks and mostStreams bound what one peer may have; 0 means no
	// bound.
	mostLinks, mostStreams int
	perFree                int // see mux.Share

	mu sync.Mutex
	m  map[K]*peerShare[K] // guarded by mu
}

// peerShare is what the connections of one peer have together.
type peerShare[K comparable] struct {
	mux.Share
	peer  K
	links int // guarded by shares.mu
}

// join counts one more connection of a peer, unless it has as many as it may.
// part must follow.
func (s *shares[K]) join(peer K) (share *peerShare[K], ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	share = s.m[peer]
	if share == nil {
		share = &peerShare[K]{peer: peer}
		share.Max, share.PerFree = cmp.Or(s.mostStreams, math.MaxInt), s.perFree
		if s.m == nil {
			s.m = make(map[K]*peerShare[K])
		}
		s.m[peer] = share
	}
	if s.mostLinks > 0 && share.links >= s.mostLinks {
		return nil, false
	}
	share.links++
	return share, true
}

func (s *shares[K]) part(share *peerShare[K]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if share.links--; share.links == 0 {
		delete(s.m, share.peer)
	}
}
