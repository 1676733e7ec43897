package accept

import (
	"errors"
	"io"
	"sync"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/http2"
)

// Grace is how long a client may say nothing before the way to the server is
// opened early, in case the server is to speak first.
const Grace = 5 * time.Millisecond

// maxHeld bounds the server's bytes that wait for the client to speak.
const maxHeld = 16 << 10

// DecidedBy says what told the protocol of a connection, for the metrics.
type DecidedBy string

// What can decide.
const (
	ByHint   DecidedBy = "hint"
	ByClient DecidedBy = "client"
	ByServer DecidedBy = "server"
	ByEnd    DecidedBy = "end" // one side ended before it had said enough
)

// looking is what was found out about a client's first bytes so far.
type looking struct{ http1 http1.Sniffer }

// see looks at the bytes, all of them, and gives what they are: an HTTP protocol,
// Opaque, or Detect while more are needed. What is Opaque because it only hardly
// can become HTTP is for Guard to watch.
func (l *looking) see(b []byte) mesh.Protocol {
	if len(b) == 0 {
		return mesh.Detect
	}
	one, two := l.http1.Feed(b[min(l.http1.Seen(), len(b)):]), http2.SniffPreface(b)
	switch {
	case two == http2.Yes:
		return mesh.HTTP2
	case two == http2.More:
		return mesh.Detect
	case one == http1.Yes:
		return mesh.HTTP1
	case one == http1.More && !l.http1.Unlikely():
		return mesh.Detect
	}
	return mesh.Opaque
}

// conclusive says whether a server's first bytes can only be a protocol in
// which servers speak first. What may begin HTTP decides nothing.
func conclusive(b []byte) bool {
	return len(b) > 0 && http1.SniffServer(b) == http1.No && http2.SniffSettings(b) == http2.No
}

// Client reads until the client's bytes decide. With a grace of zero or more
// it gives Detect when none has come within it; a negative grace waits for as
// long as it takes.
func Client(c *flow.Conn, grace time.Duration) (mesh.Protocol, error) {
	var l looking
	if p := l.see(c.Bytes()); p != mesh.Detect {
		return p, nil
	}
	timed := grace >= 0 && len(c.Bytes()) == 0
	if timed {
		_ = c.SetReadDeadline(time.Now().Add(grace))
	}
	for {
		err := c.Fill()
		if timed {
			timed = false
			_ = c.SetReadDeadline(time.Time{})
			if isTimeout(err) {
				return mesh.Detect, nil
			}
		}
		if p := l.see(c.Bytes()); p != mesh.Detect {
			return p, nil
		}
		if err != nil {
			return ended(c, err)
		}
	}
}

// ended decides for a client that stopped sending too early: what it sent is
// no HTTP request, so it is passed on as it is.
func ended(c *flow.Conn, err error) (mesh.Protocol, error) {
	if len(c.Bytes()) > 0 && errors.Is(err, io.EOF) {
		return mesh.Opaque, nil
	}
	return mesh.Detect, err
}

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

// Decide reads the client until one side has decided. A client that ends its
// direction without a word may still wait for the server's. An error is the
// client's death.
func (w *Watch) Decide() (mesh.Protocol, DecidedBy, error) {
	p, err := Client(w.client, -1)
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
