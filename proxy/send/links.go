package send

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/mux"
)

// AnswerTime is how long an old link that is silent is waited for, where no new
// one can be had.
const AnswerTime = time.Second

const (
	// idleLink is how long a link without streams is kept.
	idleLink = 90 * time.Second
	// linkTimeout bounds connecting and the handshake together.
	linkTimeout = 3 * time.Second
	// leavingTime is how long a peer that asked for no more streams is taken
	// to be going away.
	leavingTime = 5 * time.Second
	// maxDials bounds the links that are opened for one stream: a peer may
	// send each one away at once, or cut it off.
	maxDials = 3
)

var (
	errSentAway   = errors.New("every new link was sent away")
	errNoSettings = errors.New("the peer did not say in time that it takes the link")
	// errCut is a link that the peer ended before it stood: it is overloaded, or
	// about to end. Another one may do better.
	errCut = errors.New("the peer cut the new link off")
)

func cut(err error) error {
	if err == nil {
		return errCut
	}
	return fmt.Errorf("%w: %w", errCut, err)
}

// links are the links to one peer: usually one; a second while the first is
// full, does not answer, or is being replaced.
type links struct {
	peer *Peer

	mu      sync.Mutex
	open    []*openLink   // guarded by mu; the newest one first
	dialing *dialAttempt  // guarded by mu; what everybody who needs a link waits for
	change  chan struct{} // guarded by mu; closed when an old link answers or ends; nil: nobody waits
	closed  bool          // guarded by mu
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
	var vain error
	for dials := 0; dials < maxDials; {
		l.mu.Lock()
		if c := l.usable(); c != nil {
			l.mu.Unlock()
			return c, nil
		}
		d, change := l.dial(), l.next()
		l.mu.Unlock()
		select {
		case <-change: // meanwhile an old link may be usable again
			continue
		case <-d.done:
			dials++
		case <-ctx.Done():
			return nil, givenUp(ctx, flow.ConnectTimeout)
		}
		switch {
		case d.err == nil && d.link.Usable():
			return d.link, nil
		case d.err == nil:
			vain = flow.NotHanded(flow.Draining, errSentAway)
		case errors.Is(d.err, errCut):
			vain = d.err
		default:
			return nil, d.err
		}
	}
	return l.old(ctx, vain)
}

// old gives a link that stood before, where no new one could be had. The peer takes
// connections, only to cut them off: it lives, and a link on which it has been silent
// may be so for a moment more.
func (l *links) old(ctx context.Context, vain error) (*mux.Conn, error) {
	late := time.NewTimer(cmp.Or(l.peer.peers.Answer, AnswerTime))
	defer late.Stop()
	for {
		l.mu.Lock()
		c, silent, change := l.usable(), l.silent(), l.next()
		l.mu.Unlock()
		switch {
		case c != nil:
			return c, nil
		case !silent:
			return nil, vain
		}
		select {
		case <-change:
		case <-late.C:
			return nil, vain
		case <-ctx.Done():
			return nil, givenUp(ctx, flow.ConnectTimeout)
		}
	}
}

// usable gives the newest link that takes streams, or nil. l.mu is held.
func (l *links) usable() *mux.Conn {
	for _, o := range l.open {
		if o.Usable() {
			return o.Conn
		}
		if o.Leaving() {
			l.peer.leaving.Store(time.Now().Add(leavingTime).UnixNano())
		}
	}
	return nil
}

// silent says whether some link may take streams once its peer answers. l.mu is
// held.
func (l *links) silent() bool {
	for _, o := range l.open {
		if o.Silent() && !o.Leaving() {
			return true
		}
	}
	return false
}

// next gives what is closed when an old link answers or ends. l.mu is held.
func (l *links) next() <-chan struct{} {
	if l.change == nil {
		l.change = make(chan struct{})
	}
	return l.change
}

// answered has everybody look again who waits for a link.
func (l *links) answered() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wakeAll()
}

// wakeAll is answered with mu held.
func (l *links) wakeAll() {
	if l.change != nil {
		close(l.change)
		l.change = nil
	}
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
	if err != nil {
		cancel()
		l.conclude(d, nil, err)
		return
	}
	l.peer.peers.wg.Add(1)
	go func() {
		defer l.peer.peers.wg.Done()
		defer cancel()
		l.conclude(d, o, stands(ctx, o.Conn))
	}()
	if err := o.Run(l.peer.peers.ctx); err != nil { // every stream on it is told
		l.log("link ended", err)
	}
	<-d.done
	l.remove(o)
}

// stands waits until the peer's SETTINGS say that it has taken the link. To the
// dialling side a handshake of TLS 1.3 is done before the other side has judged
// its certificate, or has come to it at all; a request that was sent by then
// might be lost, and nobody could say whether it had been handed over.
func stands(ctx context.Context, c *mux.Conn) error {
	select {
	case <-c.Ready():
		return nil
	case <-c.Done():
		var alert tls.AlertError
		if err := c.Err(); errors.As(err, &alert) {
			return flow.NotHanded(flow.PeerCertificate, err)
		}
		return flow.NotHanded(flow.ConnectFailed, cut(c.Err()))
	case <-ctx.Done():
		c.Close(errNoSettings)
		return flow.NotHanded(flow.ConnectTimeout, errNoSettings)
	}
}

// conclude tells everybody who waits for a link how the attempt ended.
func (l *links) conclude(d *dialAttempt, o *openLink, err error) {
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
		if l.closed {
			o.Drain()
		}
	}
	d.err = err
	l.mu.Unlock()
	close(d.done)
	if err != nil {
		l.log("link failed", err)
	}
}

func (l *links) log(what string, err error) {
	e := &l.peer.endpoint
	l.peer.peers.Log.Debug(what, "endpoint", e.Proxy, "peer", e.Identity, "error", err)
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
		if f.Reason == flow.ConnectFailed {
			f.Err = cut(f.Err)
		}
		return nil, f
	}
	now, cfg := time.Now(), s.Link
	cfg.OnAnswer = l.answered
	return &openLink{mux.NewClient(secured, cfg), now.Add(until.Sub(now) * 4 / 5)}, nil
}

func (l *links) empty() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.open) == 0 && l.dialing == nil
}

// remove takes a link out that has ended. One that never stood was not in.
func (l *links) remove(o *openLink) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range l.open {
		if l.open[i] == o {
			l.open = append(l.open[:i:i], l.open[i+1:]...)
			l.wakeAll()
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
