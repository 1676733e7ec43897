package proxy

import "time"

// goodbye bounds the wait for peers to let go of their links once nothing is
// under way any more. A peer that is busy may not have read the notice for a
// while, and what it sends meanwhile is still served.
const goodbye = 5 * time.Second

// drain ends the proxy's work without failing a request. While something is
// under way nothing new is refused: this workload's application may still need
// others to finish, and peers without another instance still need it. Then no
// more connections are taken, and links are closed as soon as their peers have
// seen that they must be, so that what was on its way is still served.
func (p *Proxy) drain(stop func()) {
	p.core.draining.Store(true)
	p.inbound.links.drain()
	p.core.clients.drain()
	deadline := time.Now().Add(p.cfg.DrainTimeout)
	open := func() bool { return p.inbound.links.open() > 0 }
	busy := func() bool { return p.inbound.links.active() > 0 || p.core.busy.Load() > 0 }
	over := !until(deadline, busy)
	stop()
	for !over && open() {
		over = !until(deadline, busy) // what came before the notice was read
		if !until(time.Now().Add(goodbye), func() bool { return open() && !busy() }) {
			break
		}
	}
	if over {
		p.cfg.Log.Warn("drain time is over; ending what is left",
			"streams", p.inbound.links.active(), "requests", p.core.busy.Load())
	}
}

// until waits for a condition to end, at most to a time. It says whether the
// condition has ended.
func until(end time.Time, goesOn func() bool) bool {
	deadline := time.NewTimer(time.Until(end))
	defer deadline.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for goesOn() {
		select {
		case <-tick.C:
		case <-deadline.C:
			return false
		}
	}
	return true
}
