package mux

import (
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// StallTime is how long a peer may take for StallBytes of a stream that has more
// to send, when streams or memory are short. Where there is enough of both a
// stream may wait for ever.
const (
	StallTime  = 10 * time.Second
	StallBytes = 16 << 10
)

// tight says whether more than three quarters of what all links share is used.
func (b *Budget) tight() bool {
	return b != nil && (b.used.Load() > b.limit*3/4 ||
		b.MaxServed > 0 && int(b.served.Load()) > b.MaxServed*3/4 || b.whole.tight())
}

// stalled finds the streams whose Write hardly moved for StallTime, while others
// want their place. One that is not waiting to send waits for our side. Conn.mu
// is held.
func (l *Conn) stalled(now time.Duration) (ids []uint32) {
	if !l.mem.tight() {
		return nil
	}
	for _, s := range l.streams.all() {
		switch {
		case !s.writing:
			s.stuckAt = 0
		case s.stuckAt == 0 || s.sent-s.stuckSent >= StallBytes:
			s.stuckAt, s.stuckSent = now, s.sent
		case now-s.stuckAt > l.cfg.Frames.stall():
			ids = append(ids, s.id)
		}
	}
	return ids
}

// shed resets streams to make room for others.
func (l *Conn) shed(ids []uint32) {
	for _, id := range ids {
		l.reset(id, &StreamError{Code: http2.ErrCodeEnhanceYourCalm, Reason: "shed: its window stayed all but shut"}, true)
	}
}
