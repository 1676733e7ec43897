package proxy

import (
	"net"
	"sync"
)

// conns is the connections of clients and of peers that are not links yet, so
// that their end can be forced. The zero value is ready; it is safe for
// concurrent use.
type conns struct {
	mu   sync.Mutex
	open map[net.Conn]struct{} // guarded by mu
}

func (s *conns) add(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = make(map[net.Conn]struct{})
	}
	s.open[c] = struct{}{}
}

func (s *conns) remove(c net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, c)
}

// close closes all, which ends whoever reads or writes them.
func (s *conns) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.open {
		_ = c.Close()
	}
}
