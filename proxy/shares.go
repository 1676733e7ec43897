package proxy

import (
	"cmp"
	"math"
	"sync"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/mux"
)

// shares is what each workload has of this proxy by its links. It keeps one
// from taking what all have. It is safe for concurrent use.
type shares struct {
	// mostLinks and mostStreams bound what one workload may have; 0 means no
	// bound.
	mostLinks, mostStreams int

	mu sync.Mutex
	m  map[mesh.WorkloadID]*peerShare // guarded by mu
}

// peerShare is what the links of one workload have together.
type peerShare struct {
	mux.Share
	workload mesh.WorkloadID
	links    int // guarded by shares.mu
}

// join counts one more link of a workload, unless it has as many as it may.
// part must follow.
func (s *shares) join(w mesh.WorkloadID) (share *peerShare, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	share = s.m[w]
	if share == nil {
		share = &peerShare{workload: w}
		share.Max = cmp.Or(s.mostStreams, math.MaxInt)
		if s.m == nil {
			s.m = make(map[mesh.WorkloadID]*peerShare)
		}
		s.m[w] = share
	}
	if s.mostLinks > 0 && share.links >= s.mostLinks {
		return nil, false
	}
	share.links++
	return share, true
}

func (s *shares) part(share *peerShare) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if share.links--; share.links == 0 {
		delete(s.m, share.workload)
	}
}
