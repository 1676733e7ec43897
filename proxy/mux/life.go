package mux

import (
	"errors"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

var (
	errSilent = errors.New("peer does not answer")
	errLeft   = errors.New("peer ended the link before its streams")
)

// noteHeard is called for everything that arrives, whatever it is.
func (r *reader) noteHeard() {
	l := r.l
	r.at = l.now()
	l.heard.Store(int64(r.at))
	if l.waitSince.Load() != 0 {
		l.waitSince.Store(0)
	}
	if l.pinged.Load() != 0 {
		r.answered()
	}
}

// answered: the peer lives, which was asked.
func (r *reader) answered() {
	l := r.l
	l.mu.Lock() // tick must not find it silent just now
	l.pinged.Store(0)
	was := l.unresponsive.Swap(false)
	l.mu.Unlock()
	if was && l.cfg.OnAnswer != nil {
		l.cfg.OnAnswer()
	}
}

// Silent says whether the peer was asked for a sign of life and gave none yet.
func (l *Conn) Silent() bool { return l.unresponsive.Load() }

// tick looks after the link while it has streams.
func (l *Conn) tick() {
	l.mu.Lock()
	quiet := l.streams.len() == 0 && l.pinged.Load() == 0 && !l.confirms.out()
	if l.closing || quiet && l.block == 0 {
		l.ticking = false
		l.trimWorkers(0)
		l.mu.Unlock()
		return
	}
	l.trimWorkers(max(l.runningPeak, 8))
	l.runningPeak = l.running
	slow := l.block != 0 && l.now()-l.blockSince >= l.cfg.Frames.head()
	next := tickEvery
	if !quiet {
		next = l.checkLife(l.now())
	}
	if next > 0 {
		l.timer.Reset(min(next, tickEvery))
	}
	stalled := l.stalled(l.now())
	l.unlockKick()
	l.shed(stalled)
	switch {
	case next <= 0:
		l.end(errSilent)
	case slow:
		l.end(errSlowHead)
	}
}

// checkLife sends the PING that is due and says when to look again; 0 means
// that the peer is gone. Conn.mu is held.
func (l *Conn) checkLife(now time.Duration) time.Duration {
	after, timeout := l.cfg.PingAfter, l.cfg.PingTimeout
	if p := time.Duration(l.pinged.Load()); p != 0 {
		if now-p < after && !l.unresponsive.Load() {
			return min(p+after, p+timeout) - now
		}
		l.unresponsive.Store(true)
		return p + timeout - now
	}
	heard := time.Duration(l.heard.Load())
	if w := time.Duration(l.waitSince.Load()); w != 0 {
		if quiet := now - max(w, heard); quiet < after {
			return after - quiet
		}
		l.unresponsive.Store(true)
		return l.ping(now, timeout)
	}
	if quiet := now - heard; quiet < l.cfg.KeepAlive {
		return min(l.cfg.KeepAlive-quiet, after)
	}
	return l.ping(now, min(after, timeout))
}

func (l *Conn) ping(now, next time.Duration) time.Duration {
	l.pinged.Store(int64(now))
	l.appendPing(pingLife)
	return next
}

// Drain lets the streams that are open end and then ends the link. New streams
// are taken by neither side, except that the accepting side still takes those
// that were under way when its notice went out.
func (l *Conn) Drain() {
	l.mu.Lock()
	defer l.unlockKick()
	if l.draining || l.closing {
		return
	}
	l.draining = true
	if l.client {
		l.drainSent = true
	} else {
		o := l.buffer()
		o.b = http2.AppendGoAway(o.b, http2.MaxStreamID, http2.ErrCodeNo, "")
		l.appendPing(pingDrain)
	}
	l.empty()
}

// Leaving says whether the peer asked for no more streams.
func (l *Conn) Leaving() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leaving
}

// drainNoticed: the peer has seen the notice, so what it opened before has
// arrived. Conn.mu is held.
func (l *Conn) drainNoticed() {
	if !l.draining || l.drainSent || l.closing {
		return
	}
	l.drainSent = true
	l.acceptMax = l.lastID
	o := l.buffer()
	o.b = http2.AppendGoAway(o.b, l.lastID, http2.ErrCodeNo, "")
	l.empty()
}

// empty ends a link that has drained. Conn.mu is held.
func (l *Conn) empty() {
	if l.streams.len() > 0 {
		return
	}
	l.emptySince = l.now()
	if !l.drainSent || l.closing {
		return
	}
	l.closing, l.clean = true, true
	o := l.buffer()
	o.b = http2.AppendGoAway(o.b, l.lastID, http2.ErrCodeNo, "")
	l.room.Broadcast()
	l.confirms.changed.Broadcast()
}

func (r *reader) onGoAway(ev *http2.Event) error {
	l := r.l
	if err := r.count(&r.counts.idle, l.cfg.Floods.Idle, "GOAWAY frames"); err != nil {
		return err
	}
	l.mu.Lock()
	l.draining = true
	if !l.client {
		// No more streams will come.
		l.drainSent = true
		l.empty()
		l.unlockKick()
		return nil
	}
	l.leaving = true
	l.drainSent = l.drainSent || ev.LastStream < http2.MaxStreamID
	var lost []uint32
	for _, s := range l.streams.all() {
		if s.id > ev.LastStream {
			lost = append(lost, s.id)
		}
	}
	l.empty()
	l.unlockKick()
	for _, id := range lost {
		l.reset(id, &StreamError{
			Code: http2.ErrCodeRefusedStream, Reason: "peer is draining", Remote: true, NotHanded: true, Err: ErrDraining,
		}, false)
	}
	return nil
}
