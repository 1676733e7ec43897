package proxy

import (
	"cmp"
	"net/netip"
	"sync"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/send"
)

// MaxStrangers bounds the unregistered ports for which connections are kept.
const MaxStrangers = 64

// strangers are ports of the workload that no snapshot names, and that links
// or redirected traffic ask for. The zero value with a pool is ready.
type strangers struct {
	pool func(mesh.Port) *send.HTTP
	most int // 0: MaxStrangers

	mu sync.Mutex
	m  map[netip.AddrPort]*stranger // guarded by mu
}

// stranger is one such port, as the snapshot with these others has it.
type stranger struct {
	*ownPort
	others *mesh.Port
}

// close closes the connections that wait for requests.
func (s *strangers) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.m {
		p.app.Close()
	}
}

// trim closes the connections that have waited for too long.
func (s *strangers) trim(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.m {
		p.app.Trim(now)
	}
}

// get gives the port. Others is what the own snapshot says about such ports,
// nil for nothing.
func (s *strangers) get(to netip.AddrPort, others *mesh.Port) *ownPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.m[to]
	if was != nil && was.others == others {
		return was.ownPort
	}
	port := mesh.Port{Number: to.Port(), Target: to}
	if others != nil {
		port.Access = others.Access
	}
	p := &ownPort{Port: port}
	if was != nil {
		p.app = was.app
	} else {
		s.makeRoom()
		p.app = s.pool(port)
	}
	s.m[to] = &stranger{p, others}
	return p
}

// makeRoom is called with mu held.
func (s *strangers) makeRoom() {
	if s.m != nil && len(s.m) < cmp.Or(s.most, MaxStrangers) {
		return
	}
	for _, p := range s.m {
		p.app.Close()
	}
	s.m = make(map[netip.AddrPort]*stranger)
}
