package mux

import (
	"sync"
	"time"
)

// ConfirmEvery is how often a link asks its peer, at most, whether it has read the
// resets that were sent: well below what a peer takes for a flood of PINGs.
const ConfirmEvery = 25 * time.Millisecond

// confirms is what the opening side knows of its own resets. A stream that it
// reset costs the peer something until that has heard of it, and a while a reset is
// on its way others may be opened: so who opens and resets must not be done with the
// one before. A PING behind the resets tells when they have been read. All of it is
// guarded by Conn.mu.
type confirms struct {
	sent    uint64 // resets
	asked   uint64 // of these, those before the last PING
	read    uint64 // of these, those that the peer has read
	askedAt time.Duration
	timer   *time.Timer // for the next PING
	waiting int
	changed sync.Cond // of read, or the connection ends
}

// noteReset counts a reset of ours that is about to be sent. Conn.mu is held.
func (l *Conn) noteReset(s *Stream) {
	if !l.client {
		return
	}
	l.confirms.sent++
	s.resetNo = l.confirms.sent
}

// AwaitReset waits until the peer has read that the stream was reset by this side,
// which opened it. It returns at once when it was not, and when the connection ends.
func (s *Stream) AwaitReset() {
	l := s.link
	if l == nil {
		return
	}
	c := &l.confirms
	l.mu.Lock()
	no := s.resetNo
	if no <= c.read {
		l.mu.Unlock()
		return
	}
	c.waiting++
	l.askConfirm()
	l.unlockKick()
	l.mu.Lock()
	defer l.mu.Unlock()
	for no > c.read && !l.closing {
		c.changed.Wait()
	}
	c.waiting--
}

// askConfirm sends the PING that is due, now or later. Conn.mu is held.
func (l *Conn) askConfirm() {
	c := &l.confirms
	if l.closing || c.out() || c.sent == c.read {
		return // one is out, or nothing is to be known
	}
	now := l.now()
	if wait := c.askedAt + ConfirmEvery - now; c.askedAt != 0 && wait > 0 {
		if c.timer == nil {
			c.timer = time.AfterFunc(wait, l.confirmDue)
		} else {
			c.timer.Reset(wait)
		}
		return
	}
	c.asked, c.askedAt = c.sent, now
	l.appendPing(pingConfirm)
	l.asks = true // one that does not answer is found out
	l.startTicking()
}

func (l *Conn) confirmDue() {
	l.mu.Lock()
	l.askConfirm()
	l.unlockKick()
}

// confirmed: the peer has answered the PING. Conn.mu is held.
func (l *Conn) confirmed() {
	c := &l.confirms
	c.read = c.asked
	c.changed.Broadcast()
	if c.waiting > 0 {
		l.askConfirm() // for those that were sent since
	}
}

// out says whether a PING is under way. Conn.mu is held.
func (c *confirms) out() bool { return c.asked > c.read }

func (c *confirms) stop(mu *sync.Mutex) {
	mu.Lock()
	defer mu.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
}
