package mux

import (
	"cmp"
	"errors"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// reader is the part of a Link that only its reading goroutine touches.
type reader struct {
	l     *Conn
	codec *http2.Reader

	// small is what a link without streams reads into; big is lent while it
	// has some.
	small   [idleBuffer]byte
	big     *[readBuffer]byte
	preface string // what of the client's preface is still to come

	// The stream of the last DATA frame: the next is often the same.
	recent   *Stream
	recentID uint32

	// Goroutines to be woken when the bytes at hand are used up: what comes
	// for a stream in one record then costs it one wake-up.
	wakes  []*Stream
	starts []start

	blockHeld int // bytes charged for the header block under way

	credit int // what the peer may send on the link
	owed   int // received, and its credit not returned yet

	at     time.Duration // of the bytes at hand
	counts floodCounts
	// pingedAt is how many DATA frames had been sent at the peer's last PING.
	pingedAt uint64
	// tinyAt is the same at its last tiny WINDOW_UPDATE, and tinyCredit how many
	// more of them are paid for.
	tinyAt     uint64
	tinyCredit int
}

const maxWakes = 32

func (r *reader) init(l *Conn) {
	r.l = l
	r.codec = http2.NewReader(l.cfg.Frames.limit(http2.Limits{
		MaxHeaderBytes: l.cfg.MaxHeaderBytes,
		MaxFields:      l.cfg.MaxFields,
		TableSize:      uint32(l.cfg.HeaderTable),
	}))
	r.credit = l.cfg.ConnWindow
}

// loop reads until the connection ends, and says why.
func (r *reader) loop() error {
	defer r.giveBig()
	defer func() { _ = r.chargeBlock(0) }()
	buf, n := r.small[:], 0
	for {
		m, err := r.l.conn.Read(buf[n:])
		n += m
		if m > 0 {
			r.noteHeard()
			used, perr := r.batch(buf[:n])
			idle, ferr := r.endBatch()
			if err := cmp.Or(perr, ferr); err != nil {
				return err
			}
			if used == 0 && n == len(buf) && len(buf) > idleBuffer {
				return protocolError("no progress")
			}
			buf, n = r.next(buf, used, n, idle)
		}
		if err != nil {
			return err
		}
	}
}

// next chooses the buffer for the next read and moves what is left into it.
func (r *reader) next(buf []byte, used, n int, idle bool) ([]byte, int) {
	rest := buf[used:n]
	small := idle && n < len(buf) && len(rest) < idleBuffer/2
	switch {
	case small:
		n = copy(r.small[:], rest)
		r.giveBig()
		return r.small[:], n
	case r.big == nil:
		r.big = r.l.mem.readBuffer()
	}
	n = copy(r.big[:], rest)
	return r.big[:], n
}

func (r *reader) giveBig() {
	if r.big != nil {
		r.l.mem.reads.Put(r.big)
		r.big = nil
	}
}

// batch handles all that is whole in b and says how much of b that was.
func (r *reader) batch(b []byte) (used int, err error) {
	if r.preface != "" {
		if used, err = r.takePreface(b); err != nil || r.preface != "" {
			return used, err
		}
	}
	for used < len(b) {
		ev, n, err := r.codec.Next(b[used:])
		used += n
		if err != nil {
			if err := r.streamFault(&ev, err); err != nil {
				return used, err
			}
			continue
		}
		if n == 0 && ev.Type == http2.EventNone {
			return used, nil
		}
		if err := r.handle(&ev); err != nil {
			return used, err
		}
	}
	return used, nil
}

func (r *reader) takePreface(b []byte) (int, error) {
	n := min(len(b), len(r.preface))
	if string(b[:n]) != r.preface[:n] {
		return 0, protocolError("bad preface")
	}
	r.preface = r.preface[n:]
	return n, nil
}

// streamFault resets the stream that err is about; any other err goes up.
func (r *reader) streamFault(ev *http2.Event, err error) error {
	var he *http2.Error
	if !errors.As(err, &he) || he.Stream == 0 {
		return err
	}
	if ev.TooLarge && r.isNew(ev.Stream) {
		return r.onHeaders(ev) // whoever serves it gives the answer
	}
	if ev.Type == http2.EventHeaders {
		if err := r.skipStream(he.Stream, he.Code); err != nil {
			return err
		}
	}
	r.l.refuse(he.Stream, he.Code, he.Kind.String())
	return r.count(&r.counts.idle, r.l.cfg.Floods.Idle, "malformed frames")
}

// isNew says whether HEADERS of this stream open it.
func (r *reader) isNew(id uint32) bool {
	l := r.l
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.client && l.streams.get(id) == nil
}

func (r *reader) handle(ev *http2.Event) error {
	switch ev.Type {
	case http2.EventHeaders:
		return r.onHeaders(ev)
	case http2.EventData:
		return r.onData(ev)
	case http2.EventReset:
		return r.onReset(ev)
	case http2.EventWindowUpdate:
		return r.onWindowUpdate(ev)
	case http2.EventSettings:
		return r.onSettings(ev)
	case http2.EventPing:
		return r.onPing(ev)
	case http2.EventGoAway:
		return r.onGoAway(ev)
	case http2.EventPriority, http2.EventUnknown:
		return r.count(&r.counts.idle, r.l.cfg.Floods.Idle, "frames without effect")
	}
	return nil
}

// endBatch wakes whom the bytes were for, returns the link's credit, and lets
// the writer send what was answered. It says whether the link has no streams; the
// error is why it ended meanwhile, or is to.
func (r *reader) endBatch() (idle bool, err error) {
	r.flush()
	l := r.l
	block, held := r.codec.Block()
	spent := r.chargeBlock(held)
	l.mu.Lock()
	l.noteBlock(block)
	if r.owed >= l.cfg.ConnWindow/4 && !l.closing {
		o := l.buffer()
		o.b = http2.AppendWindowUpdate(o.b, 0, uint32(r.owed))
		r.credit += r.owed
		r.owed = 0
	}
	idle = l.streams.len() == 0
	faults, err := l.faults, l.err // one that ended is not read on
	l.faults = 0
	l.unlockKick()
	if idle {
		r.recent, r.recentID = nil, 0
	}
	return idle, cmp.Or(err, spent, r.countFaults(faults))
}

func (r *reader) flush() {
	for i, s := range r.wakes {
		signal(s.readWake)
		r.wakes[i] = nil
	}
	r.wakes = r.wakes[:0]
	for i, st := range r.starts {
		r.starts[i] = start{}
		if st.s != nil {
			st.s.startsAt = 0
			r.l.startWorker(st)
		}
	}
	r.starts = r.starts[:0]
}

func (r *reader) wake(s *Stream) {
	r.wakes = append(r.wakes, s)
	if len(r.wakes) >= maxWakes {
		r.flush()
	}
}
