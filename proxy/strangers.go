package proxy

import (
	"net/netip"
	"sync"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/send"
)

// maxStrangers bounds the unregistered ports for which connections are kept.
const maxStrangers = 64

// strangers are ports of the workload that no snapshot names and that
// redirected traffic asks for. The zero value with a pool is ready.
type strangers struct {
	pool func(mesh.Port) *send.HTTP

	mu sync.Mutex
	m  map[netip.AddrPort]*ownPort // guarded by mu
}

// close closes the connections that wait for requests.
func (s *strangers) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.m {
		p.app.Close()
	}
}

func (s *strangers) get(to netip.AddrPort) *ownPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.m[to]; p != nil {
		return p
	}
	if s.m == nil || len(s.m) >= maxStrangers {
		for _, p := range s.m {
			p.app.Close()
		}
		s.m = make(map[netip.AddrPort]*ownPort)
	}
	port := mesh.Port{Number: to.Port(), Target: to}
	p := &ownPort{Port: port, app: s.pool(port)}
	s.m[to] = p
	return p
}
