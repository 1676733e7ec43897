package mux

import (
	"sync"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// Stream is one request, or one connection, on a link. One goroutine may read
// (Head, Next, Read), one may write (WriteHead, Write, WriteFinal,
// CloseWrite); Reset and Cancel may be called by any that knows the stream not
// to be released. Who does not know that keeps a Ref.
type Stream struct {
	// Written by begin and Release with mu held, so that the reader can tell
	// whether a stream is still the one it looked up.
	link *Conn // nil: released
	id   uint32
	gen  uint64

	// mu guards what was received.
	mu       sync.Mutex
	fields   []http2.Field // of all header blocks, one after another
	heads    []headBlock
	nextHead int
	headSize int  // of fields, as headSize counts it
	final    bool // the last head before the body came
	trailers headBlock
	in       recvQueue
	peeked   int   // bytes that Next gave and that are still in the queue
	ended    bool  // END_STREAM came
	want     int64 // length of the body as promised, -1: none was
	got      int64 // what came of it
	bodyless bool  // the answer has no body, whatever length its head gives
	err      *StreamError
	onAbort  func(*StreamError)
	abort    *StreamError // with which the stream was aborted
	stopped  bool         // see StopRead
	waits    bool         // the reading goroutine sleeps

	window int // what the peer may have under way or unread
	credit int // what it may still send
	owed   int // bytes taken whose credit was not returned yet
	since  int // bytes taken since the window grew

	// Guarded by link.mu: what is sent.
	sendWindow         int
	data               []byte // of the Write that waits
	dataEnd            bool
	writing            bool
	queued             bool
	prev, next         *Stream
	sendDone, recvDone bool
	sendErr            *StreamError
	mark               uint64        // position of HEADERS in everything written
	sent               int64         // DATA bytes
	stuckAt            time.Duration // since when it has sent little and had more to send; 0: it has not
	stuckSent          int64         // what it had sent then
	resetNo            uint64        // which of our resets was its own; 0: none

	// startsAt is the place among reader.starts, from 1; 0: none. Only the reader
	// of the accepting side uses it.
	startsAt int

	readWake, writeWake chan struct{}
}

// headBlock is fields[from:to].
type headBlock struct {
	from, to int
	end      bool
	tooLarge bool // some are missing
}

// Fields with more room than this are not kept for the next stream.
const keepFields = 64

func (b *Budget) stream() *Stream {
	if s, ok := b.streams.Get().(*Stream); ok {
		return s
	}
	return &Stream{
		readWake:  make(chan struct{}, 1),
		writeWake: make(chan struct{}, 1),
	}
}

// begin takes s into use. A reader that looked it up in its former life may
// still hold it: therefore the lock.
func (s *Stream) begin(l *Conn, id uint32) {
	s.mu.Lock()
	s.link, s.id = l, id
	s.window, s.credit = l.cfg.StreamWindow, l.cfg.StreamWindow
	s.mu.Unlock()
	s.sendDone, s.recvDone, s.sendErr, s.stuckAt, s.sent, s.resetNo = false, false, nil, 0, 0, 0
}

// ID is the number of the stream on its link.
func (s *Stream) ID() uint32 { return s.id }

// Conn is where the stream is.
func (s *Stream) Conn() *Conn { return s.link }

// Release gives the stream back; no method may be called afterwards, by
// anyone. A stream that has not ended is reset: with NO_ERROR when the own side
// was finished and only the peer's was not, else with CANCEL. The accepting
// side releases by itself when serve returns.
func (s *Stream) Release() {
	if l := s.link; l != nil {
		l.release(s, s.id)
	}
}

func (l *Conn) release(s *Stream, id uint32) {
	var unread error
	l.mu.Lock()
	if l.streams.get(id) == s {
		code := http2.ErrCodeCancel
		if s.sendDone && !l.client {
			code = http2.ErrCodeNo
		}
		unread = l.appendReset(id, code)
		l.drop(s, nil)
	}
	l.unlockKick()
	l.endIf(unread)

	s.mu.Lock()
	s.in.reset(l.mem)
	if grown := s.window - l.cfg.StreamWindow; grown > 0 {
		l.mem.give(grown)
	}
	s.forgetHeads(l)
	s.nextHead, s.trailers, s.peeked = 0, headBlock{}, 0
	s.final, s.ended, s.stopped, s.waits = false, false, false, false
	s.err, s.onAbort, s.abort = nil, nil, nil
	s.owed, s.since, s.got, s.want, s.bodyless = 0, 0, 0, -1, false
	s.link, s.id = nil, 0
	s.gen++
	s.mu.Unlock()
	l.mem.streams.Put(s)
}

// Reset ends the stream in both directions with RST_STREAM. Whoever waits in
// it wakes up with a *StreamError of this code and reason. REFUSED_STREAM says
// that nothing was handed to the application.
func (s *Stream) Reset(code http2.ErrCode, reason string) {
	if l := s.link; l != nil {
		l.reset(s.id, &StreamError{Code: code, Reason: reason}, true)
	}
}

// Cancel is Reset for a client that went away.
func (s *Stream) Cancel() { s.Reset(http2.ErrCodeCancel, "canceled") }

// reset ends a stream, which may be gone already: then it gives false. With
// tell the peer learns of it.
func (l *Conn) reset(id uint32, e *StreamError, tell bool) bool {
	l.mu.Lock()
	s := l.streams.get(id)
	if s == nil {
		l.mu.Unlock()
		return false
	}
	var unread error
	if tell {
		unread = l.appendReset(id, e.Code)
		l.noteReset(s)
	}
	whole := s.recvDone && e.Remote
	l.drop(s, e)
	l.room.Broadcast()
	l.unlockKick()
	s.fail(l, id, e, whole)
	l.endIf(unread)
	return true
}

// endIf ends the link when there is an error.
func (l *Conn) endIf(err error) {
	if err != nil {
		l.end(err)
	}
}

// fail wakes everyone. With whole set all of the peer's side had come before,
// and what of it is unread can still be read.
func (s *Stream) fail(l *Conn, id uint32, e *StreamError, whole bool) {
	s.mu.Lock()
	if s.link != l || s.id != id {
		s.mu.Unlock()
		return
	}
	if !whole && s.err == nil {
		s.err = e
	}
	s.abort = e
	if s.onAbort != nil {
		s.onAbort(e)
	}
	s.mu.Unlock()
	signal(s.readWake)
	signal(s.writeWake)
}

// OnAbort has f called, once, when the stream is reset by either side or its
// connection dies; at once when that has happened. f must be quick and must not call
// the stream: it is there to wake a goroutine that waits for something else,
// such as the application. Release waits for a running f, and forgets it.
func (s *Stream) OnAbort(f func(*StreamError)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onAbort = f
	if s.abort != nil && f != nil {
		f(s.abort)
	}
}

// Answered says whether this side has said all that it had to, and the stream was not
// reset.
func (s *Stream) Answered() bool {
	l := s.link
	l.mu.Lock()
	done := s.sendDone && s.sendErr == nil
	l.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return done && s.abort == nil
}

// Ref is a reference to a stream that may have been released meanwhile.
type Ref struct {
	s   *Stream
	gen uint64
}

// Ref gives a reference for other goroutines.
func (s *Stream) Ref() Ref { return Ref{s, s.gen} }

// Reset is Stream.Reset, and does nothing once the stream was released.
func (r Ref) Reset(code http2.ErrCode, reason string) {
	if l, id := r.live(); l != nil {
		l.reset(id, &StreamError{Code: code, Reason: reason}, true)
	}
}

// Fault is Reset for what the peer sent, such as a head that makes no sense. It
// counts against the connection as a reset by the peer does.
func (r Ref) Fault(code http2.ErrCode, reason string) {
	if l, id := r.live(); l != nil {
		l.refuse(id, code, reason)
	}
}

// live gives where the stream is; nil once it was released.
func (r Ref) live() (*Conn, uint32) {
	if r.s == nil {
		return nil, 0
	}
	r.s.mu.Lock()
	defer r.s.mu.Unlock()
	if r.s.gen != r.gen {
		return nil, 0
	}
	return r.s.link, r.s.id
}

// Cancel is Stream.Cancel, and does nothing once the stream was released.
func (r Ref) Cancel() { r.Reset(http2.ErrCodeCancel, "canceled") }
