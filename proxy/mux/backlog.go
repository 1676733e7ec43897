package mux

// chargeOut charges what waits to be written beyond what one write gathers: then
// the peer does not read, and heads, answers and resets pile up. Conn.mu is held.
func (l *Conn) chargeOut() {
	if l.backlog() <= gatherLimit || l.closing {
		return
	}
	if more := cap(l.out.b) - l.outHeld; more > 0 {
		l.mem.take(more)
		l.outHeld += more
	}
}

// freeOut gives back what chargeOut took. Conn.mu is held.
func (l *Conn) freeOut() {
	if l.outHeld > 0 {
		l.mem.give(l.outHeld)
		l.outHeld = 0
	}
}
