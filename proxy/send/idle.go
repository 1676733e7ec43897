package send

import (
	"sync"
	"sync/atomic"
	"time"
)

// shedAtOnce is how many connections make room when there are too many: to
// find those that have waited the longest takes a look at every pool.
const shedAtOnce = 16

// Idle bounds the connections of HTTP/1 that all pools together keep without a
// request. Where there are more, those that have waited the longest are closed.
// A nil Idle bounds nothing; it is safe for concurrent use.
type Idle struct {
	Max int

	n atomic.Int64

	mu    sync.Mutex         // before the one of a pool
	pools map[*HTTP]struct{} // guarded by mu; those that may have some
}

// add counts n more, fewer where n is negative.
func (i *Idle) add(n int) {
	if i != nil {
		i.n.Add(int64(n))
	}
}

// kept is told after a pool kept one more, and whether the pool is a new one.
func (i *Idle) kept(p *HTTP, isNew bool) {
	if i == nil {
		return
	}
	if isNew {
		i.mu.Lock()
		if i.pools == nil {
			i.pools = make(map[*HTTP]struct{})
		}
		i.pools[p] = struct{}{}
		i.mu.Unlock()
	}
	if i.n.Load() > int64(i.Max) {
		i.shed()
	}
}

// forget drops a pool that keeps none.
func (i *Idle) forget(p *HTTP) {
	if i == nil {
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		p.listed = false
		delete(i.pools, p)
	}
}

// shed makes room: some of the pool whose first connection has waited the
// longest are closed.
func (i *Idle) shed() {
	i.mu.Lock()
	defer i.mu.Unlock()
	var from *HTTP
	var oldest time.Time
	for p := range i.pools {
		if since, ok := p.oldest(); ok && (from == nil || since.Before(oldest)) {
			from, oldest = p, since
		}
	}
	if from == nil {
		return
	}
	if over := int(i.n.Load()) - i.Max; over > 0 {
		from.shed(max(over, min(shedAtOnce, i.Max/8)))
	}
}

// oldest says since when the connection waits that has waited the longest.
func (p *HTTP) oldest() (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) == 0 {
		return time.Time{}, false
	}
	return p.idle[0].idleSince, true
}

// shed closes the n connections that have waited the longest.
func (p *HTTP) shed(n int) {
	p.mu.Lock()
	n = min(n, len(p.idle))
	old := make([]*httpConn, n)
	copy(old, p.idle)
	left := copy(p.idle, p.idle[n:])
	clear(p.idle[left:])
	p.idle = p.idle[:left]
	p.Idle.add(-n)
	p.mu.Unlock()
	closeAll(old)
}

func closeAll(conns []*httpConn) {
	for _, h := range conns {
		_ = h.conn.Close()
		h.conn.Free()
	}
}
