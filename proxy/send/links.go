package send

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/mux"
)

const (
	// idleLink is how long a link without streams is kept.
	idleLink = 90 * time.Second
	// linkTimeout bounds connecting and the handshake together.
	linkTimeout = 3 * time.Second
	// leavingTime is how long a peer that asked for no more streams is taken
	// to be going away.
	leavingTime = 5 * time.Second
	// maxDials bounds the links that are opened for one stream: a peer may
	// send each one away at once.
	maxDials = 3
)

// links are the links to one peer: usually one; a second while the first is
// full, does not answer, or is being replaced.
type links struct {
	peer *Peer

	mu      sync.Mutex
	open    []*openLink  // guarded by mu; the newest one first
	dialing *dialAttempt // guarded by mu; what everybody who needs a link waits for
	closed  bool         // guarded by mu
}

type openLink struct {
	*mux.Conn
	replaceAt time.Time // a new one is opened then, before a certificate ends
}

type dialAttempt struct {
	done chan struct{}
	link *mux.Conn // set before done is closed
	err  error
}

// get gives a link that takes streams, opening one if there is none.
func (l *links) get(ctx context.Context) (*mux.Conn, error) {
	for range maxDials {
		l.mu.Lock()
		for _, o := range l.open {
			if o.Usable() {
				l.mu.Unlock()
				return o.Conn, nil
			}
			if o.Leaving() {
				l.peer.leaving.Store(time.Now().Add(leavingTime).UnixNano())
			}
		}
		d := l.dial()
		l.mu.Unlock()
		select {
		case <-d.done:
			if d.err != nil {
				return nil, d.err
			}
			if d.link.Usable() {
				return d.link, nil
			}
		case <-ctx.Done():
			return nil, flow.NotHanded(flow.ConnectTimeout, context.Cause(ctx))
		}
	}
	return nil, flow.NotHanded(flow.Draining, errors.New("every new link was sent away"))
}

// dial starts an attempt unless one is under way. l.mu is held.
func (l *links) dial() *dialAttempt {
	if l.dialing != nil {
		return l.dialing
	}
	d := &dialAttempt{done: make(chan struct{})}
	if l.closed || l.peer.peers.ctx.Err() != nil {
		d.err = flow.NotHanded(flow.Draining, errors.New("proxy is shutting down"))
		close(d.done)
		return d
	}
	l.dialing = d
	l.peer.peers.wg.Add(1)
	go func() {
		defer l.peer.peers.wg.Done()
		l.connect(d)
	}()
	return d
}

// connect opens one link and runs it to its end.
func (l *links) connect(d *dialAttempt) {
	l.peer.peers.keep(l.peer)
	ctx, cancel := context.WithTimeout(l.peer.peers.ctx, linkTimeout)
	o, err := l.handshake(ctx)
	cancel()
	l.mu.Lock()
	l.dialing = nil
	if err == nil {
		old := l.open
		l.open = append([]*openLink{o}, old...)
		d.link = o.Conn
		for _, was := range old {
			if time.Now().After(was.replaceAt) {
				was.Drain()
			}
		}
	}
	d.err = err
	l.mu.Unlock()
	close(d.done)
	if err != nil {
		return
	}
	_ = o.Run(l.peer.peers.ctx) // every stream on it is told why it ended
	l.remove(o)
}

func (l *links) handshake(ctx context.Context) (*openLink, error) {
	s, e := l.peer.peers, l.peer.endpoint
	c, err := s.Dial(ctx, e.Proxy)
	if err != nil {
		reason := flow.ConnectFailed
		if isTimeout(err) {
			reason = flow.ConnectTimeout
		}
		return nil, flow.NotHanded(reason, err)
	}
	secured, until, err := s.Handshake(ctx, c, e)
	if err != nil {
		_ = c.Close()
		f := flow.AsError(err, flow.ConnectFailed)
		f.NotHanded = true
		return nil, f
	}
	now := time.Now()
	return &openLink{mux.NewClient(secured, s.Link), now.Add(until.Sub(now) * 4 / 5)}, nil
}

func (l *links) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open) == 0 && l.dialing == nil
}

func (l *links) remove(o *openLink) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.open {
		if l.open[i] == o {
			l.open = append(l.open[:i:i], l.open[i+1:]...)
			return
		}
	}
}

// tend closes links that nobody used for long, drains those that a newer one
// replaced, and opens the newer one when a certificate's end comes near.
func (l *links) tend(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, o := range l.open {
		switch {
		case o.Idle() > idleLink:
			o.Drain()
		case i > 0 && (o.Active() == 0 || now.After(o.replaceAt)):
			o.Drain()
		case i == 0 && now.After(o.replaceAt) && o.Active() == 0:
			o.Drain()
		case i == 0 && now.After(o.replaceAt):
			l.dial()
		}
	}
}

func (l *links) drain() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	for _, o := range l.open {
		o.Drain()
	}
}
