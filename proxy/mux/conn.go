package mux

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// Conn is one HTTP/2 connection. All methods may be called from any goroutine.
type Conn struct {
	conn   net.Conn
	below  gatherer // below conn's TLS, or nil
	cfg    Config
	mem    *Budget
	client bool
	serve  func(*Stream)
	start  time.Time
	done   chan struct{}
	ready  chan struct{} // closed with the peer's first SETTINGS

	// mu guards everything below, up to the reader's own part.
	mu         sync.Mutex
	streams    table // open in at least one direction
	nextID     uint32
	lastID     uint32 // highest stream that the peer opened
	acceptMax  uint32 // streams of the peer above this one are refused
	past       *past  // nil: how streams ended is not remembered
	emptySince time.Duration

	// Sending.
	enc        *http2.Encoder
	out        *outBuffer // frames that wait to be written; nil: none
	outHeld    int        // bytes charged for out
	outData    int        // DATA bytes in out
	dataFrames uint64     // DATA frames sent so far
	answers    int        // bytes in out that answer the peer's control frames, and resets
	faults     int        // streams reset for what the peer did, which the reader has not counted
	asks       bool       // out holds HEADERS or DATA
	taken      uint64     // bytes given to the kernel, at most
	turns      turnList   // streams whose Write waits for its turn
	connWindow int        // what the peer's link window has left
	writerIdle bool
	room       *sync.Cond // out was taken

	// What the peer allows.
	peerOther   []http2.Setting // those that are not about the connection
	peerSettled bool            // its first SETTINGS came
	peerMax     int             // streams
	peerWindow  int             // of a new stream
	peerFrame   int
	peerHeadMax int

	// Life.
	draining    bool // we or the peer said so
	leaving     bool // the peer said so
	drainSent   bool // no stream can come any more: end when there are none
	closing     bool // the writer flushes and ends
	clean       bool // the end was agreed on
	told        bool // our GOAWAY says why it ends
	err         error
	running     int       // streams being served
	runningPeak int       // since the last tick
	workers     []*worker // idle
	working     sync.WaitGroup
	confirms    confirms
	block       int           // the header block of the peer that is under way, 0: none is
	blockSince  time.Duration // when it was first seen
	timer       *time.Timer
	ticking     bool

	// Shared without mu.
	wake         chan struct{}
	unresponsive atomic.Bool
	pinged       atomic.Int64 // when the PING went out, as time since start; 0: none is out
	heard        atomic.Int64 // when something came last, as time since start
	waitSince    atomic.Int64 // when something was sent that wants an answer; 0: none
	active       atomic.Int32

	rx reader
}

// NewClient returns the side that opens streams. The connection is used, and
// its handshake done, from Run on; Open may be called before.
func NewClient(c net.Conn, cfg Config) *Conn {
	l := newLink(c, cfg)
	l.client = true
	l.nextID = 1
	b := l.buffer()
	b.b = append(b.b, http2.Preface...)
	l.greet()
	return l
}

// NewServer returns the side that accepts streams. serve runs on a goroutine
// of its own for each stream, which is released when it returns.
func NewServer(c net.Conn, cfg Config, serve func(*Stream)) *Conn {
	l := newLink(c, cfg)
	l.serve = serve
	l.rx.preface = http2.Preface
	l.acceptMax = http2.MaxStreamID
	if cfg.Strict {
		l.past = new(past)
	}
	l.greet()
	return l
}

func newLink(c net.Conn, cfg Config) *Conn {
	cfg = cfg.withDefaults()
	l := &Conn{
		conn:        c,
		cfg:         cfg,
		mem:         cfg.Budget,
		start:       time.Now(),
		done:        make(chan struct{}),
		ready:       make(chan struct{}),
		wake:        make(chan struct{}, 1),
		enc:         http2.NewEncoder(uint32(cfg.HeaderTable)),
		connWindow:  http2.DefaultWindow,
		peerMax:     defaultPeerMx,
		peerWindow:  http2.DefaultWindow,
		peerFrame:   http2.MinMaxFrame,
		peerHeadMax: http2.MaxWindow,
	}
	if t, ok := c.(*tls.Conn); ok {
		l.below, _ = t.NetConn().(gatherer)
	}
	l.room = sync.NewCond(&l.mu)
	l.confirms.changed.L = &l.mu
	l.timer = time.AfterFunc(time.Hour, l.tick)
	l.timer.Stop()
	l.rx.init(l)
	return l
}

// greet puts our SETTINGS and the link's window into the first write.
func (l *Conn) greet() {
	c := &l.cfg
	b := l.buffer()
	settings := append([]http2.Setting{
		{ID: http2.SettingHeaderTableSize, Value: uint32(c.HeaderTable)},
		{ID: http2.SettingEnablePush, Value: 0},
		{ID: http2.SettingMaxConcurrentStreams, Value: uint32(c.MaxStreams)},
		{ID: http2.SettingInitialWindowSize, Value: uint32(c.StreamWindow)},
		{ID: http2.SettingMaxHeaderListSize, Value: uint32(c.MaxHeaderBytes)},
	}, c.Settings...)
	b.b = http2.AppendSettings(b.b, settings...)
	if extra := c.ConnWindow - http2.DefaultWindow; extra > 0 {
		b.b = http2.AppendWindowUpdate(b.b, 0, uint32(extra))
	}
}

// Run reads and writes until the link ends, and waits for everything that it
// started. It returns nil when both sides agreed on the end. When ctx ends, so
// does the link, without drain.
func (l *Conn) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { l.Close(context.Cause(ctx)) })
	defer stop()
	writer := make(chan struct{})
	go func() {
		defer close(writer)
		l.writeLoop()
	}()
	read := l.rx.loop()
	l.end(read)
	<-writer
	if _, ours := goAwayCode(read); ours {
		l.drainInput()
	}
	_ = l.conn.Close()
	l.timer.Stop()
	l.confirms.stop(&l.mu)
	l.endWorkers()
	l.working.Wait()
	l.mu.Lock()
	l.freeOut()
	l.mu.Unlock()
	close(l.done)
	err := l.Err()
	if limit := floodOf(err); limit != "" && l.cfg.OnFlood != nil {
		l.cfg.OnFlood(l.conn.RemoteAddr(), limit, err)
	}
	return err
}

// Close ends the link at once: a GOAWAY goes out if it can, and every stream
// fails with err. A nil err is an orderly end.
func (l *Conn) Close(err error) {
	if err == nil {
		err = ErrClosed
	}
	l.end(err)
}

// end starts the end of the link, once. Streams that are still open fail.
func (l *Conn) end(err error) {
	l.mu.Lock()
	if l.closing {
		l.mu.Unlock()
		return
	}
	l.closing = true
	l.clean = errors.Is(err, ErrClosed) || cleanEnd(err) && l.streams.len() == 0
	if cleanEnd(err) && !l.clean {
		err = errLeft
	}
	if !l.clean {
		l.err = err
	}
	if code, due := goAwayCode(err); due {
		l.told = true
		o := l.buffer()
		o.b = http2.AppendGoAway(o.b, l.lastID, code, "")
	}
	open := l.takeAll(err)
	l.room.Broadcast()
	l.confirms.changed.Broadcast()
	l.unlockKick()
	_ = l.conn.SetWriteDeadline(time.Now().Add(lingerTime))
	for _, o := range open {
		o.s.fail(l, o.id, o.err, o.whole)
	}
}

// orphan is a stream that its link left behind.
type orphan struct {
	s     *Stream
	id    uint32
	err   *StreamError
	whole bool // all of the peer's side had come
}

// takeAll empties the table.
func (l *Conn) takeAll(err error) []orphan {
	all := l.streams.all()
	open := make([]orphan, 0, len(all))
	for _, s := range all {
		e := &StreamError{
			Code: http2.ErrCodeInternal, Reason: "connection died", Remote: true, Conn: true, Err: err,
			NotHanded: l.client && s.mark >= l.taken,
		}
		open = append(open, orphan{s, s.id, e, s.recvDone})
		l.drop(s, e)
	}
	return open
}

// Done is closed when Run is about to return.
func (l *Conn) Done() <-chan struct{} { return l.done }

// Err is why the link ended; nil while it lives and after an agreed end.
func (l *Conn) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Usable says whether Open would take a stream now.
func (l *Conn) Usable() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.openable() == nil
}

// Active is the number of streams that have not ended in both directions.
func (l *Conn) Active() int { return int(l.active.Load()) }

// Idle is how long the link has been without streams; 0 when it has some.
func (l *Conn) Idle() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.streams.len() > 0 {
		return 0
	}
	return l.now() - l.emptySince
}

// PeerSetting gives a setting of the peer that is not about the connection
// itself; ok is false when it did not send it.
func (l *Conn) PeerSetting(id http2.SettingID) (v uint32, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.peerOther {
		if s.ID == id {
			return s.Value, true
		}
	}
	return 0, false
}

// Announce sends one more setting, once.
func (l *Conn) Announce(s http2.Setting) {
	l.mu.Lock()
	defer l.unlockKick()
	if l.closing || slices.Contains(l.cfg.Settings, s) {
		return
	}
	l.cfg.Settings = append(slices.Clip(l.cfg.Settings), s)
	o := l.buffer()
	o.b = http2.AppendSettings(o.b, s)
}

// Ready is closed when the peer's first SETTINGS have come.
func (l *Conn) Ready() <-chan struct{} { return l.ready }

// Settled says whether the peer's first SETTINGS have come.
func (l *Conn) Settled() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peerSettled
}

// Room is how many streams Open would take at once as far as the limits of both
// sides go, those that are open included.
func (l *Conn) Room() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return min(l.peerMax, l.cfg.MaxStreams)
}

// Shut says whether the peer takes no DATA at the moment, on any stream.
func (l *Conn) Shut() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.connWindow <= 0
}

// now is the time since the link was made, never 0.
func (l *Conn) now() time.Duration { return time.Since(l.start) + 1 }
