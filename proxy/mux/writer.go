package mux

import (
	"crypto/tls"
	"errors"
	"io"
	"runtime"
	"time"

	"github.com/leno-mesh/leno/proxy/http2"
)

// buffer gives what the next write takes with it. Conn.mu is held.
func (l *Conn) buffer() *outBuffer {
	if l.out == nil {
		l.out = l.mem.outBuffer()
	}
	return l.out
}

func (l *Conn) backlog() int {
	if l.out == nil {
		return 0
	}
	return len(l.out.b)
}

// unlockKick gives the lock back, and wakes the writer when there is something
// for it and it sleeps.
func (l *Conn) unlockKick() {
	l.chargeOut()
	kick := l.writerIdle && (l.out != nil || l.turns.first != nil || l.closing)
	if kick {
		l.writerIdle = false
	}
	l.mu.Unlock()
	if kick {
		l.wake <- struct{}{} // has room: the writer was idle
	}
}

// writeLoop takes what has been gathered and writes it, until the link ends.
func (l *Conn) writeLoop() {
	for {
		out := l.take()
		if out == nil {
			l.hangUp()
			return
		}
		size := cap(out.b)
		l.mem.take(size) // a peer that does not read holds it
		n, err := l.write(out.b)
		l.mem.give(size)
		if err != nil {
			l.mu.Lock()
			// What a failed Write did not count as written was not received:
			// a record that is not whole cannot be decrypted.
			l.taken -= uint64(len(out.b) - n)
			l.mu.Unlock()
			l.end(err)
			_ = l.conn.Close()
			return
		}
		l.mem.freeOut(out)
	}
}

// gatherer is a connection below TLS that can put several records into one
// system call: socket.Gather.
type gatherer interface {
	Hold(buf []byte)
	Release() (sent int, err error)
}

// write writes p in one system call where that can be, and says how much of it
// the peer can have received, at most.
func (l *Conn) write(p []byte) (int, error) {
	if l.below == nil || len(p) <= tlsRecord {
		return l.conn.Write(p)
	}
	buf := l.mem.sealed()
	defer l.mem.freeSealed(buf)
	l.below.Hold(buf[:])
	n, err := l.conn.Write(p)
	sent, rerr := l.below.Release()
	if err == nil {
		err = rerr
	}
	if err != nil {
		n = min(len(p), sent) // sealed bytes are more than what is in them
	}
	return n, err
}

// take waits for something to write. It returns nil when the link has ended
// and everything is written.
func (l *Conn) take() *outBuffer {
	l.mu.Lock()
	for {
		l.fill()
		if l.out != nil {
			break
		}
		if l.closing {
			l.mu.Unlock()
			return nil
		}
		l.writerIdle = true
		l.mu.Unlock()
		<-l.wake
		// Let the goroutines that are ready now add their frames first: this
		// is what makes one record and one system call of many requests. Without
		// it BenchmarkRequests costs four times as much CPU (one write for each
		// request, not for each dozen). That the goroutine that appends does the
		// writing was tried and is not cheaper.
		runtime.Gosched()
		l.mu.Lock()
	}
	out := l.out
	l.out, l.outData, l.answers = nil, 0, 0
	l.freeOut() // writeLoop charges all of it
	l.taken += uint64(len(out.b))
	if l.asks {
		l.asks = false
		if l.waitSince.Load() == 0 {
			l.waitSince.Store(int64(l.now()))
		}
	}
	l.room.Broadcast()
	l.mu.Unlock()
	return out
}

// fill gives the waiting streams their turns, a frame each, while there is
// room in this write and in the windows. Conn.mu is held.
func (l *Conn) fill() {
	for l.turns.first != nil && l.outData < gatherLimit && l.connWindow > 0 {
		s := l.turns.first
		l.turns.remove(s)
		n := min(len(s.data), Turn, s.sendWindow, l.connWindow)
		if n <= 0 {
			continue // waits for its window; WINDOW_UPDATE puts it back
		}
		last := n == len(s.data)
		l.appendData(s, s.data[:n], last && s.dataEnd)
		s.data = s.data[n:]
		if !last {
			l.turns.push(s)
			continue
		}
		s.writing, s.data = false, nil
		signal(s.writeWake)
	}
}

// appendData adds one DATA frame, which must fit the windows.
func (l *Conn) appendData(s *Stream, p []byte, end bool) {
	o := l.buffer()
	o.b = http2.AppendData(o.b, s.id, p, end)
	s.sent += int64(len(p))
	s.sendWindow -= len(p)
	l.connWindow -= len(p)
	l.outData += len(p)
	l.dataFrames++
	l.asks = true
	if end {
		l.endSend(s)
	}
}

// hangUp ends the own side and waits a little for the end of the peer's, so
// that what it has not read yet is not lost to a reset.
func (l *Conn) hangUp() {
	if c, ok := l.conn.(interface{ CloseWrite() error }); ok && l.endsWell() {
		_ = l.conn.SetReadDeadline(time.Now().Add(lingerTime))
		if c.CloseWrite() == nil {
			return // the reader sees the end, or the deadline
		}
	}
	_ = l.conn.Close()
}

// endsWell says whether the own side may be ended as one that is complete: where
// both agreed, and where only the GOAWAY says what became of the streams. On TLS
// the alert says so too.
func (l *Conn) endsWell() bool {
	_, secured := l.conn.(*tls.Conn)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.clean || l.told && !secured
}

// drainInput reads what the peer still sends after our GOAWAY, for a bounded
// time and number of bytes, so that the kernel does not answer it with a reset
// that destroys the GOAWAY.
func (l *Conn) drainInput() {
	const most = 256 << 10
	if _, ok := l.conn.(interface{ CloseWrite() error }); !ok || !l.endsWell() {
		return
	}
	_, _ = io.CopyN(io.Discard, l.conn, most)
}

// signal wakes the goroutine that waits on c, or the next one to wait.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// cleanEnd says whether err is how a connection ends on purpose. crypto/tls
// gives io.EOF after close_notify, and also for a FIN between two records: so
// it never counts as the end of a stream, only END_STREAM does.
func cleanEnd(err error) bool { return errors.Is(err, io.EOF) }
