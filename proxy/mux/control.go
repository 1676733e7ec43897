package mux

import (
	"encoding/binary"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// Floods bounds what a peer may send in one second (docs/link.md, "What ends a
// link"). Zero fields mean the defaults.
type Floods struct {
	Resets   int // RST_STREAM, and faults that end a stream, but not of those which we opened; 4096
	Pings    int // PING beyond one for each DATA frame sent to the peer; 256
	Settings int // SETTINGS; 64
	Idle     int // frames without effect; 4096
}

// The defaults of Floods.
const (
	DefaultResets   = 4096
	DefaultPings    = 256
	DefaultSettings = 64
	DefaultIdle     = 4096
)

// What connections are ended for, see Config.OnFlood: the names of the limits
// where they have one.
const (
	floodResets   = "resets"
	floodPings    = "pings"
	floodSettings = "settings"
	floodIdle     = "idle-frames"
	floodAnswers  = "unread-answers"
	floodBlock    = "header-block"
)

const (
	// MaxAnswers bounds the answers and resets in bytes that a peer does not read.
	MaxAnswers = 256 << 10
	// TinyWindow is the bytes of a WINDOW_UPDATE without effect.
	TinyWindow = 256
	// tinyPerData is how many such a peer may send for a DATA frame that it
	// got: one for the stream, one for the connection.
	tinyPerData = 2
)

type floodCounts struct {
	since                         time.Duration
	resets, pings, settings, idle int
}

func (r *reader) count(n *int, limit int, what string) error {
	return r.countMore(n, 1, limit, what)
}

func (r *reader) countMore(n *int, more, limit int, what string) error {
	if r.at-r.counts.since >= time.Second {
		r.counts = floodCounts{since: r.at}
	}
	*n += more
	if *n > limit {
		return flood(r.counts.limit(n), "too many "+what)
	}
	return nil
}

// limit is which bound n counts towards.
func (c *floodCounts) limit(n *int) string {
	switch n {
	case &c.resets:
		return floodResets
	case &c.pings:
		return floodPings
	case &c.settings:
		return floodSettings
	default:
		return floodIdle
	}
}

// answer notes that n bytes of out answer the peer. One that asks and does not
// read is cut off. Conn.mu is held.
func (l *Conn) answer(n int) error {
	l.answers += n
	if l.answers > l.cfg.Frames.answers() {
		return flood(floodAnswers, "too many frames while it does not read the answers")
	}
	return nil
}

// answerReset resets a stream that is not open here. One that is refused is
// nobody's fault. Conn.mu is held.
func (l *Conn) answerReset(id uint32, code http2.ErrCode) error {
	if code != http2.ErrCodeRefusedStream {
		l.faults++
	}
	return l.appendReset(id, code)
}

// appendReset adds RST_STREAM; the error says that there are too many which the
// peer did not read. Conn.mu is held.
func (l *Conn) appendReset(id uint32, code http2.ErrCode) error {
	o := l.buffer()
	o.b = http2.AppendReset(o.b, id, code)
	return l.answer(frameHeaderLen + resetLen)
}

// blame counts a stream that ends for what its peer did. Making us reset its
// streams costs us as much as resetting them, so both count together.
func (l *Conn) blame() {
	l.mu.Lock()
	l.faults++
	l.mu.Unlock()
}

// countFaults counts what blame noted. Only the accepting side does: a server
// cannot spoil more streams than we open.
func (r *reader) countFaults(n int) error {
	if n == 0 || r.l.client {
		return nil
	}
	return r.countMore(&r.counts.resets, n, r.l.cfg.Floods.Resets, "streams reset for what it sent")
}

func (r *reader) onReset(ev *http2.Event) error {
	l := r.l
	l.mu.Lock()
	s := l.streams.get(ev.Stream)
	// A server cannot end more streams than we open. One whose answers are
	// whole before the request is may end each of them with a reset (RFC 9113,
	// 8.1).
	if s == nil || !l.client {
		if err := r.count(&r.counts.resets, l.cfg.Floods.Resets, "resets"); err != nil {
			l.mu.Unlock()
			return err
		}
	}
	var err error
	if s != nil {
		l.past.note(ev.Stream, endReset)
	}
	if s == nil {
		var known bool
		if known, err = l.known(ev.Stream); err == nil && !known {
			err = protocolError("reset of a stream that was not opened")
		}
	}
	l.mu.Unlock()
	if s == nil {
		return err
	}
	l.reset(ev.Stream, &StreamError{
		Code: ev.Code, Reason: "reset by peer", Remote: true,
		NotHanded: l.client && ev.Code == http2.ErrCodeRefusedStream,
	}, false)
	r.unstart(s, ev.Stream)
	return nil
}

func (r *reader) onWindowUpdate(ev *http2.Event) error {
	if ev.Increment < TinyWindow {
		if err := r.tiny(); err != nil {
			return err
		}
	}
	wide, err := r.widen(ev)
	if err == nil && !wide {
		r.l.refuse(ev.Stream, http2.ErrCodeFlowControl, "its window grew too large")
	}
	return err
}

// tiny counts a WINDOW_UPDATE that has no effect by itself. A receiver of short
// messages may answer each with one, as grpc does beside each PING with which it
// measures its way: those are paid for by the DATA frames that it got.
func (r *reader) tiny() error {
	l := r.l
	l.mu.Lock()
	sent := l.dataFrames
	l.mu.Unlock()
	got := min(sent-r.tinyAt, uint64(l.cfg.Floods.Idle))
	r.tinyAt = sent
	r.tinyCredit = min(r.tinyCredit+tinyPerData*int(got), l.cfg.Floods.Idle)
	if r.tinyCredit > 0 {
		r.tinyCredit--
		return nil
	}
	return r.count(&r.counts.idle, l.cfg.Floods.Idle, "tiny window updates")
}

// widen adds to a window; false when that of a stream cannot be so large.
func (r *reader) widen(ev *http2.Event) (bool, error) {
	l := r.l
	inc := int(ev.Increment)
	l.mu.Lock()
	defer l.mu.Unlock()
	if ev.Stream == 0 {
		if l.connWindow += inc; l.connWindow > http2.MaxWindow {
			return false, connError(http2.ErrCodeFlowControl, "connection window too large")
		}
		return true, nil
	}
	s := l.streams.get(ev.Stream)
	if s == nil {
		known, err := l.known(ev.Stream)
		if err == nil && !known {
			err = protocolError("window of a stream that was not opened")
		}
		return true, err
	}
	return l.widen(s, inc), nil
}

// widen adds to what s may send, and lets its Write go on; false when that would
// be too much. Conn.mu is held.
func (l *Conn) widen(s *Stream, inc int) bool {
	if s.sendWindow+inc > http2.MaxWindow {
		return false
	}
	s.sendWindow += inc
	if s.writing && s.sendWindow > 0 {
		l.turns.push(s)
	}
	return true
}

func (r *reader) onSettings(ev *http2.Event) error {
	if err := r.count(&r.counts.settings, r.l.cfg.Floods.Settings, "settings"); err != nil {
		return err
	}
	if ev.Ack {
		return nil
	}
	l := r.l
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.peerSettled {
		l.peerSettled = true
		close(l.ready)
		l.peerMax = l.cfg.MaxStreams
	}
	window := l.peerWindow
	for s := range ev.Settings() {
		if s.ID == http2.SettingInitialWindowSize {
			window = int(s.Value) // there may be several, and the last one counts
			continue
		}
		l.apply(s)
	}
	if err := l.setWindow(window); err != nil {
		return err
	}
	o := l.buffer()
	o.b = http2.AppendSettingsAck(o.b)
	return l.answer(frameHeaderLen)
}

// setWindow makes n the window of new streams, and changes those of the open
// ones by as much (RFC 9113, section 6.9.2). Conn.mu is held.
func (l *Conn) setWindow(n int) error {
	delta := n - l.peerWindow
	if delta == 0 {
		return nil
	}
	l.peerWindow = n
	for _, s := range l.streams.all() {
		if !l.widen(s, delta) {
			return connError(http2.ErrCodeFlowControl, "stream window too large")
		}
	}
	return nil
}

// apply takes one setting of the peer, but for the window. Conn.mu is held.
func (l *Conn) apply(s http2.Setting) {
	switch s.ID {
	case http2.SettingHeaderTableSize:
		l.enc.SetMaxTableSize(s.Value)
	case http2.SettingMaxConcurrentStreams:
		l.peerMax = int(s.Value)
	case http2.SettingMaxFrameSize:
		l.peerFrame = int(s.Value)
	case http2.SettingMaxHeaderListSize:
		l.peerHeadMax = int(s.Value)
	default:
		l.noteOther(s)
	}
}

// noteOther keeps a setting for PeerSetting. Conn.mu is held.
func (l *Conn) noteOther(s http2.Setting) {
	for i := range l.peerOther {
		if l.peerOther[i].ID == s.ID {
			l.peerOther[i].Value = s.Value
			return
		}
	}
	if len(l.peerOther) < maxOther {
		l.peerOther = append(l.peerOther, s)
	}
}

// What our PINGs carry: which of them an answer belongs to.
const (
	pingLife    = 1
	pingDrain   = 2
	pingConfirm = 3
)

func (l *Conn) appendPing(kind uint64) {
	var data [8]byte
	binary.BigEndian.PutUint64(data[:], kind)
	o := l.buffer()
	o.b = http2.AppendPing(o.b, false, data)
}

func (r *reader) onPing(ev *http2.Event) error {
	l := r.l
	l.mu.Lock()
	defer l.mu.Unlock()
	// A receiver may measure its way with a PING for each DATA frame that it
	// gets, as grpc does to size its windows. Those are not a flood.
	if r.pingedAt == l.dataFrames {
		if err := r.count(&r.counts.pings, l.cfg.Floods.Pings, "pings"); err != nil {
			return err
		}
	}
	r.pingedAt = l.dataFrames
	if !ev.Ack {
		o := l.buffer()
		o.b = http2.AppendPing(o.b, true, ev.Ping)
		return l.answer(frameHeaderLen + len(ev.Ping))
	}
	switch binary.BigEndian.Uint64(ev.Ping[:]) {
	case pingDrain:
		l.drainNoticed()
	case pingConfirm:
		l.confirmed()
	}
	return nil
}
