package send

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/mux"
)

const (
	// DefaultShared bounds the HTTP/2 connections to one application. A further
	// one is opened when those that stand carry as many streams as the
	// application allows, or it takes no bodies on them.
	DefaultShared = 16
	// DefaultQueued bounds the requests that wait for one of them.
	DefaultQueued = 1024
	// QueueTime bounds how long one waits.
	QueueTime = 5 * time.Second
	// SettleTime bounds connecting and the application's first SETTINGS.
	SettleTime = 5 * time.Second
)

var (
	errNotHTTP2 = errors.New("the other end does not speak HTTP/2")
	errQueue    = errors.New("too many requests wait for a stream of its HTTP/2 connections")
	errShut     = errors.New("its connections are being closed")
)

// shared is the HTTP/2 connections to one application or unmeshed endpoint,
// which requests share. The zero value with a pool is ready; it is safe for
// concurrent use.
type shared struct {
	http      *HTTP
	exchanges sync.Pool

	mu      sync.Mutex
	open    []*sharedConn // guarded by mu
	dialing bool          // guarded by mu
	queue   []*queued     // guarded by mu; who came first stands first
	shut    bool          // guarded by mu
}

// sharedConn is one of them. Who holds a place on it may open one stream.
type sharedConn struct {
	*mux.Conn
	pool   *shared
	held   int         // guarded by pool.mu; places that are taken
	reused atomic.Bool // it carried a request before, or was idle
	// extended says that the other end takes extended CONNECT (RFC 8441).
	extended bool
}

// queued is a request that waits for a place.
type queued struct {
	got  chan place
	body bool
}

type place struct {
	conn *sharedConn
	err  error
}

// get gives an exchange for one request, with a body or without.
func (s *shared) get(ctx context.Context, body bool) (flow.Exchange, error) {
	c, err := s.place(ctx, body)
	if err != nil {
		return nil, err
	}
	x, ok := s.exchanges.Get().(*streamExchange)
	if !ok {
		x = &streamExchange{}
	}
	x.plain, x.link = c, c.Conn
	return x, nil
}

// place takes a place on a connection, waiting for one where all are taken.
func (s *shared) place(ctx context.Context, body bool) (*sharedConn, error) {
	s.mu.Lock()
	if c := s.free(body, false); c != nil && (len(s.queue) == 0 || !body) {
		c.held++
		s.mu.Unlock()
		return c, nil
	}
	if s.shut || len(s.queue) >= s.http.MaxQueued {
		defer s.mu.Unlock()
		if s.shut {
			return nil, flow.NotHanded(flow.Draining, errShut)
		}
		return nil, flow.NotHanded(flow.Overloaded, errQueue)
	}
	q := &queued{make(chan place, 1), body}
	s.queue = append(s.queue, q)
	s.dial()
	s.mu.Unlock()
	return s.await(ctx, q)
}

func (s *shared) await(ctx context.Context, q *queued) (*sharedConn, error) {
	late := time.NewTimer(s.http.QueueTime)
	defer late.Stop()
	var err error = flow.NotHanded(flow.Overloaded, errQueue)
	select {
	case p := <-q.got:
		return p.conn, p.err
	case <-late.C:
	case <-ctx.Done():
		err = givenUp(ctx, flow.Draining)
	}
	if s.leave(q) {
		return nil, err
	}
	p := <-q.got // it was served just then
	return p.conn, p.err
}

// givenUp is why nobody waits any more: the request was interrupted, or else the
// reason is what the end of the proxy's context means.
func givenUp(ctx context.Context, reason flow.Reason) error {
	var e *flow.Error
	if err := ctx.Err(); errors.As(err, &e) {
		return e
	}
	return flow.NotHanded(reason, context.Cause(ctx))
}

// leave takes a request out of the queue; false when it is not there any more.
func (s *shared) leave(q *queued) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.queue {
		if s.queue[i] == q {
			s.queue = append(s.queue[:i], s.queue[i+1:]...)
			return true
		}
	}
	return false
}

// free finds a connection with a place. One on which the application takes no
// DATA now, because some of its handlers leave their bodies unread, is no place
// for another body while a further connection can be opened, but with shutToo set.
// s.mu is held.
func (s *shared) free(body, shutToo bool) *sharedConn {
	var shut *sharedConn
	for _, c := range s.open {
		switch {
		case c.held >= c.Room() || !c.Usable():
		case body && c.Shut():
			shut = c
		default:
			return c
		}
	}
	if shut != nil && s.standing() < s.http.MaxShared && !shutToo {
		return nil
	}
	return shut
}

// serve gives places to those who wait, and opens another connection where some
// are left. s.mu is held.
func (s *shared) serve() {
	s.hand(false)
	if len(s.queue) > 0 {
		s.dial()
	}
}

// hand gives the places that there are. ShutToo is as in free. s.mu is held.
func (s *shared) hand(shutToo bool) {
	left := s.queue[:0]
	noBodies := false
	for i, q := range s.queue {
		var c *sharedConn
		if !q.body || !noBodies {
			c = s.free(q.body, shutToo)
		}
		if c == nil && !q.body {
			left = append(left, s.queue[i:]...) // there is no place at all
			break
		}
		if c == nil {
			noBodies = true
			left = append(left, q)
			continue
		}
		c.held++
		q.got <- place{conn: c} // has room
	}
	clear(s.queue[len(left):])
	if s.queue = left; len(left) == 0 {
		s.queue = nil
	}
}

// give gives a place back.
func (s *shared) give(c *sharedConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.held--
	c.reused.Store(true)
	s.serve()
}

// dial opens one more connection, unless one is being opened or there are
// enough. s.mu is held.
func (s *shared) dial() {
	if s.dialing || s.shut || s.standing() >= s.http.MaxShared {
		return
	}
	s.dialing = s.http.Go(s.connect)
	if !s.dialing {
		s.turnAway(flow.NotHanded(flow.Draining, errShut))
	}
}

// standing counts the connections that are not going away. s.mu is held.
func (s *shared) standing() (n int) {
	for _, c := range s.open {
		if !c.Leaving() {
			n++
		}
	}
	return n
}

// connect opens a connection and runs it to its end.
func (s *shared) connect(ctx context.Context) {
	dctx, cancel := context.WithTimeout(ctx, s.http.SettleTime)
	defer cancel()
	raw, err := s.http.Open(dctx)
	if err != nil {
		s.failed(s.http.dialFailed(err))
		return
	}
	s.run(ctx, raw, true)
}

// run makes a connection one of the shared, once the other end has said how
// many streams it takes, and runs it to its end. Dialed says that it was opened
// because somebody waits.
func (s *shared) run(ctx context.Context, raw net.Conn, dialed bool) {
	c := &sharedConn{Conn: mux.NewClient(raw, s.http.HTTP2), pool: s}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	late := time.NewTimer(s.http.SettleTime)
	select {
	case <-c.Ready():
		v, _ := c.PeerSetting(http2.SettingEnableConnectProtocol)
		c.extended = v == 1
		s.http.extended.Store(c.extended)
		s.add(c, dialed)
	case <-late.C:
		c.Close(errNotHTTP2)
	case <-c.Done():
	}
	late.Stop()
	err := <-ended
	if !s.remove(c) && dialed {
		if err == nil {
			err = errNotHTTP2
		}
		s.failed(flow.NotHanded(s.http.malformed(), errors.Join(errNotHTTP2, err)))
	}
}

func (s *shared) add(c *sharedConn, dialed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if dialed {
		s.dialing = false
	}
	s.open = append(s.open, c)
	if s.shut {
		c.Drain()
	}
	s.serve()
}

// remove takes a connection out that has ended; false when it never was in.
func (s *shared) remove(c *sharedConn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.open {
		if s.open[i] == c {
			s.open = append(s.open[:i], s.open[i+1:]...)
			s.serve() // those who wait need another one
			return true
		}
	}
	return false
}

// failed tells those who wait that no connection could be opened. Where others
// stand they wait for a place on these.
func (s *shared) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialing = false
	if len(s.open) == 0 {
		s.turnAway(err)
		return
	}
	s.hand(true)
}

// turnAway fails those who wait. s.mu is held.
func (s *shared) turnAway(err error) {
	for _, q := range s.queue {
		q.got <- place{err: err} // has room
	}
	s.queue = nil
}

// adopt takes a connection on which only the other end has spoken.
func (s *shared) adopt(raw net.Conn) {
	if !s.http.Go(func(ctx context.Context) { s.run(ctx, raw, false) }) {
		_ = raw.Close()
	}
}

// trim drains the connections that have been without a request for long.
func (s *shared) trim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.open {
		if c.held == 0 && c.Idle() > s.http.IdleTime {
			c.Drain()
		}
	}
}

func (s *shared) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.open) == 0 && !s.dialing
}

// close has every connection end with its last stream.
func (s *shared) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shut = true
	for _, c := range s.open {
		c.Drain()
	}
}
