package send

import (
	"cmp"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/proxy/socket"
)

// Defaults of an HTTP pool.
const (
	// MaxIdleConns bounds the connections of HTTP/1 that are kept without a
	// request.
	MaxIdleConns = 1024
	// LongIdleConns is how many of them are kept for IdleTimeout. Those beyond
	// are what many requests at once needed, and would have to be opened again
	// for each of these; they are kept for SpareTimeout.
	LongIdleConns = 64
	IdleTimeout   = 90 * time.Second
	SpareTimeout  = 5 * time.Second
	// hot is how long a connection that was in use needs no look.
	hot = time.Millisecond
)

// HTTPConfig says where an HTTP pool's connections go.
type HTTPConfig struct {
	// Dial opens a connection.
	Dial func(ctx context.Context) (net.Conn, error)
	// App is true when the other end is this proxy's own application, which
	// decides how failures are called.
	App     bool
	Limits  http1.Limits
	Buffers *flow.Buffers
	// Idle bounds what all pools keep together.
	Idle *Idle
	// HTTP2 is how connections of HTTP/2 behave.
	HTTP2 mux.Config
	// MaxShared bounds these connections, and MaxQueued the requests that wait
	// for one; 0 means DefaultShared and DefaultQueued.
	MaxShared, MaxQueued int
	// QueueTime bounds how long one waits, and SettleTime connecting and the
	// other end's first SETTINGS. Defaults QueueTime and SettleTime.
	QueueTime, SettleTime time.Duration
	// MaxIdle bounds the connections of HTTP/1 that are kept without a request. The
	// first LongIdle of them are kept for IdleTime, as one of HTTP/2 is, and the
	// others for SpareTime. Defaults MaxIdleConns, LongIdleConns, IdleTimeout and
	// SpareTimeout.
	MaxIdle, LongIdle   int
	IdleTime, SpareTime time.Duration
	// Go runs one of these, which outlives the request that needed it; false
	// when there is an end to that.
	Go func(run func(ctx context.Context)) bool
}

// HTTP keeps the connections to one application or unmeshed endpoint: those of
// HTTP/1, of which the one that was used last is used first, so that those a
// burst needed can fall idle, and those of HTTP/2. It is safe for concurrent use.
type HTTP struct {
	HTTPConfig
	shared shared
	// extended is what the last of the shared connections was told.
	extended atomic.Bool

	mu     sync.Mutex
	idle   []*httpConn // guarded by mu; the last one was used last
	listed bool        // guarded by mu; Idle knows of it
	shut   bool        // guarded by mu
}

// NewHTTP makes an empty pool.
func NewHTTP(cfg HTTPConfig) *HTTP {
	cfg.MaxShared = cmp.Or(cfg.MaxShared, DefaultShared)
	cfg.MaxQueued = cmp.Or(cfg.MaxQueued, DefaultQueued)
	cfg.QueueTime = cmp.Or(cfg.QueueTime, QueueTime)
	cfg.SettleTime = cmp.Or(cfg.SettleTime, SettleTime)
	cfg.MaxIdle, cfg.LongIdle = cmp.Or(cfg.MaxIdle, MaxIdleConns), cmp.Or(cfg.LongIdle, LongIdleConns)
	cfg.IdleTime, cfg.SpareTime = cmp.Or(cfg.IdleTime, IdleTimeout), cmp.Or(cfg.SpareTime, SpareTimeout)
	p := &HTTP{HTTPConfig: cfg}
	p.shared.http = p
	return p
}

// TakesConnect says that the other end is known to take extended CONNECT (RFC
// 8441).
func (p *HTTP) TakesConnect() bool { return p.extended.Load() }

// Get gives an exchange on an idle connection, or on a new one, of the version
// that the client spoke. With fresh set one of HTTP/1 is always new. Failures are of type
// *flow.Error and NotHanded.
//
// An idle connection is looked at for a pending close before it is used again,
// unless the request may be sent twice anyway and the connection was in use a
// moment ago: then the look costs more than the rare second try. One that was
// idle for longer may hold bytes that answer no request, and so may one whose
// last answer had no body: some servers send one all the same (to HEAD, after
// 204 and 304, behind a length of 0), a moment after the head.
func (p *HTTP) Get(ctx context.Context, r *flow.Request, fresh bool) (flow.Exchange, error) {
	if r.Version == flow.HTTP20 {
		return p.shared.get(ctx, r.Length != 0)
	}
	look := r.Length != 0 || !http1.VerbOf(r.Method).Idempotent()
	for !fresh {
		h := p.pop()
		if h == nil {
			break
		}
		if h.usable(look) {
			h.reused = true
			return h, nil
		}
		_ = h.conn.Close()
		h.conn.Free()
	}
	c, err := p.Dial(ctx)
	if err != nil {
		return nil, p.dialFailed(err)
	}
	return &httpConn{conn: flow.NewConn(c, p.Buffers), pool: p}, nil
}

func (p *HTTP) dialFailed(err error) error {
	reason := flow.ConnectFailed
	switch {
	case isTimeout(err) && p.App:
		reason = flow.AppTimeout
	case isTimeout(err):
		reason = flow.ConnectTimeout
	case p.App:
		reason = flow.AppRefused
	}
	return flow.NotHanded(reason, err)
}

func (p *HTTP) malformed() flow.Reason {
	if p.App {
		return flow.AppBadResponse
	}
	return flow.BadResponse
}

func (p *HTTP) reset() flow.Reason {
	if p.App {
		return flow.AppReset
	}
	return flow.PeerReset
}

func (p *HTTP) pop() *httpConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	h := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	p.Idle.add(-1)
	return h
}

func (p *HTTP) put(h *httpConn) {
	if h.conn.Shrink() {
		h.parser.Reset()
	}
	h.idleSince = time.Now()
	p.mu.Lock()
	keep := !p.shut && len(p.idle) < p.MaxIdle
	if keep {
		until := h.idleSince.Add(p.IdleTime)
		if len(p.idle) >= p.LongIdle {
			until = h.idleSince.Add(p.SpareTime)
		}
		if h.idleUntil.IsZero() || h.idleUntil.After(until) {
			h.idleUntil = until
		}
		p.idle = append(p.idle, h)
		p.Idle.add(1)
	}
	isNew := keep && !p.listed
	p.listed = p.listed || keep
	p.mu.Unlock()
	if keep {
		p.Idle.kept(p, isNew)
		return
	}
	_ = h.conn.Close()
	h.conn.Free()
}

// Adopt keeps a connection that was opened for something else and on which
// nothing was sent, for the next request. If the other end has spoken it is
// HTTP/2, in which servers do.
func (p *HTTP) Adopt(c *flow.Conn) {
	if len(c.Bytes()) > 0 {
		p.shared.adopt(flow.ConnDuplex{Conn: c})
		return
	}
	p.put(&httpConn{conn: c, pool: p, adopted: true})
}

// Open gives a connection for something else than requests of HTTP/1: a new one, or
// one that was adopted and on which nothing was said yet.
func (p *HTTP) Open(ctx context.Context) (net.Conn, error) {
	if h := p.popUnused(); h != nil {
		if h.usable(true) {
			return h.conn.Conn, nil
		}
		_ = h.conn.Close()
	}
	return p.Dial(ctx)
}

func (p *HTTP) popUnused() *httpConn {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := len(p.idle) - 1; i >= 0; i-- {
		if h := p.idle[i]; h.adopted {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			p.Idle.add(-1)
			return h
		}
	}
	return nil
}

func (p *HTTP) closed(h *httpConn) { h.conn.Free() }

// Trim closes the connections that have been idle for too long.
func (p *HTTP) Trim(now time.Time) {
	p.mu.Lock()
	var old []*httpConn
	keep := p.idle[:0]
	for _, h := range p.idle {
		if now.After(h.idleUntil) {
			old = append(old, h)
		} else {
			keep = append(keep, h)
		}
	}
	clear(p.idle[len(keep):])
	p.idle = keep
	p.Idle.add(-len(old))
	p.mu.Unlock()
	closeAll(old)
	if len(keep) == 0 {
		p.Idle.forget(p)
	}
	p.shared.trim()
}

func (p *HTTP) empty() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle) == 0 && p.shared.empty()
}

// Close closes the idle connections; those in use end with their request.
func (p *HTTP) Close() {
	p.mu.Lock()
	idle := p.idle
	p.idle, p.shut = nil, true
	p.Idle.add(-len(idle))
	p.mu.Unlock()
	p.shared.close()
	closeAll(idle)
	p.Idle.forget(p)
}

// usable says whether an idle connection can carry another request: its
// server has neither closed it, nor said something unasked, nor is about to
// close it.
func (h *httpConn) usable(look bool) bool {
	now := time.Now()
	if !h.idleUntil.IsZero() && now.After(h.idleUntil) {
		return false
	}
	if !look && !h.bare && now.Sub(h.idleSince) < hot {
		return true
	}
	s, ok := h.conn.Conn.(*socket.Conn)
	return !ok || s.Quiet()
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
