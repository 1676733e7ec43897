package accept

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http2"
)

// Watch looks at both ends of a connection whose way to the server was opened
// early, until the first bytes that are conclusive decide.
type Watch struct {
	client *flow.Conn
	server *flow.Conn

	mu       sync.Mutex
	protocol mesh.Protocol // guarded by mu
	by       DecidedBy     // guarded by mu
	decided  chan struct{} // closed under mu

	serverErr error         // why the server's goroutine stopped reading, if it was an end
	done      chan struct{} // closed when the server's goroutine has stopped reading
}

// NewWatch begins to watch. One of Opaque and Forget must end it.
func NewWatch(client, server *flow.Conn) *Watch {
	w := &Watch{client: client, server: server, decided: make(chan struct{}), done: make(chan struct{})}
	go w.watchServer()
	return w
}

// decide keeps the first decision.
func (w *Watch) decide(p mesh.Protocol, by DecidedBy) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by != "" {
		return
	}
	w.protocol, w.by = p, by
	close(w.decided)
	if by != ByClient {
		_ = w.client.SetReadDeadline(time.Unix(1, 0)) // wakes up Decide
	}
}

// watchServer reads what the server says, which stays in its buffer while it
// decides nothing, and stops at the decision.
func (w *Watch) watchServer() {
	defer close(w.done)
	for len(w.server.Bytes()) < maxHeld {
		err := w.server.Fill()
		if conclusive(w.server.Bytes()) {
			w.decide(mesh.Opaque, ByServer)
		}
		if isTimeout(err) {
			return
		}
		if err != nil {
			w.serverErr = err
			// A server that ends without a word is nobody's protocol: the
			// client is told by the same end.
			w.decide(mesh.Opaque, ByEnd)
			return
		}
		select {
		case <-w.decided:
			return
		default:
		}
	}
}

// listen reads the client until its bytes decide.
func (w *Watch) listen() (mesh.Protocol, error) {
	var l looking
	var timer *time.Timer
	defer func() {
		if timer != nil {
			timer.Stop()
		}
	}()
	for likely := false; ; {
		b := w.client.Bytes()
		if p := l.see(b); p != mesh.Detect {
			return p, nil
		}
		if now := l.likely(b); len(b) > 0 && (timer == nil || now != likely) {
			if timer != nil {
				timer.Stop()
			}
			likely = now
			timer = w.patience(likely)
		}
		if err := w.client.Fill(); err != nil {
			return ended(w.client, err)
		}
	}
}

// patience ends the wait for more bytes of the client: a head that does not come
// is refused, and what hardly begins one is passed on.
func (w *Watch) patience(likely bool) *time.Timer {
	due := headDue(w.client)
	if likely {
		return time.AfterFunc(time.Until(due), func() { w.decide(mesh.Detect, byHead) })
	}
	return time.AfterFunc(Doubt, func() { w.decide(mesh.Opaque, ByTime) })
}

// byHead is no decision: the head took too long.
const byHead DecidedBy = "head"

var errSlowHead = errors.New("the request line did not come")

// Decide reads the client until one side has decided. A client that ends its
// direction without a word may still wait for the server's. An error is the
// client's death, or a request line that takes too long.
func (w *Watch) Decide() (mesh.Protocol, DecidedBy, error) {
	p, err := w.listen()
	switch {
	case err == nil:
		w.decide(p, ByClient)
	case errors.Is(err, io.EOF):
		w.decide(mesh.Opaque, ByEnd)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.by == "" {
		return mesh.Detect, "", err
	}
	_ = w.client.SetReadDeadline(time.Time{})
	switch {
	case w.by == byHead:
		return mesh.Detect, "", flow.Fail(flow.SlowRequest, errSlowHead)
	case w.by == ByTime && err == nil: // just then more came, and nothing was passed on
		return p, ByClient, nil
	}
	return w.protocol, w.by, nil
}

// stop ends the watching goroutine.
func (w *Watch) stop() {
	_ = w.server.SetReadDeadline(time.Unix(1, 0))
	<-w.done
	_ = w.server.SetReadDeadline(time.Time{})
}

// Opaque gives the server's end for an opaque connection: what it said comes
// first.
func (w *Watch) Opaque() flow.ConnDuplex {
	w.stop()
	return flow.ConnDuplex{Conn: w.server}
}

// Forget gives the early way up. Where the server had said nothing on it, or the
// SETTINGS of HTTP/2, it is whole and the caller's to use or to close; else it is
// closed, and nil comes back.
func (w *Watch) Forget() *flow.Conn {
	w.stop()
	if b := w.server.Bytes(); w.serverErr == nil && (len(b) == 0 || http2.SniffSettings(b) == http2.Yes) {
		return w.server
	}
	w.server.Abort()
	_ = w.server.Close()
	return nil
}
