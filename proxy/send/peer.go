package send

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/mux"
)

// Peer is what is kept for one endpoint: the links to its proxy, or the plain
// connections to an endpoint that has none. It is safe for concurrent use.
type Peer struct {
	endpoint mesh.Endpoint
	key      peerKey
	peers    *Peers
	http     *HTTP // of an unmeshed endpoint
	links    *links

	place     flow.Place
	used      atomic.Int64 // unix seconds of the last request
	leaving   atomic.Int64 // unix nanoseconds until which it is taken to be going away
	exchanges sync.Pool
}

// Place is what the seats of connections that lead here have as their place.
func (p *Peer) Place() *flow.Place { return &p.place }

// Meshed says whether requests travel on links.
func (p *Peer) Meshed() bool { return p.links != nil }

// Leaving says that the peer's proxy asked for no more streams lately: what
// can go elsewhere should.
func (p *Peer) Leaving() bool {
	until := p.leaving.Load()
	return until != 0 && time.Now().UnixNano() < until
}

// Exchange makes ready for one HTTP request. Where is the leno-link value,
// target the authority for requests without one. With fresh set a plain
// connection is not one that was used before. Failures are *flow.Error and
// NotHanded.
func (p *Peer) Exchange(ctx context.Context, r *flow.Request, where, target string, fresh bool) (flow.Exchange, error) {
	p.touch()
	if p.http != nil {
		return p.http.Get(ctx, r, fresh)
	}
	l, err := p.links.get(ctx)
	if err != nil {
		return nil, err
	}
	s, ok := p.exchanges.Get().(*streamExchange)
	if !ok {
		s = &streamExchange{peer: p}
	}
	s.link, s.where, s.target = l, where, target
	return s, nil
}

// Connect opens an opaque connection. On a link the answer of the inbound
// side has come when it returns. Failures are *flow.Error.
func (p *Peer) Connect(ctx context.Context, where, target string) (flow.Duplex, error) {
	p.touch()
	if p.http != nil {
		c, err := p.http.Open(ctx)
		if err != nil {
			return nil, p.http.dialFailed(err)
		}
		return flow.ConnDuplex{Conn: flow.NewConn(c, p.peers.Buffers)}, nil
	}
	l, err := p.links.get(ctx)
	if err != nil {
		return nil, err
	}
	return openOpaque(ctx, l, where, target)
}

// Reach makes sure that the endpoint can be reached: a link to its proxy stands,
// or a connection where it has none, which comes back. Failures are *flow.Error.
func (p *Peer) Reach(ctx context.Context) (flow.Duplex, error) {
	if p.http != nil {
		return p.Connect(ctx, "", "")
	}
	p.touch()
	_, err := p.links.get(ctx)
	return nil, err
}

// Adopt takes back what Connect or Reach gave, if nothing was sent on it. It says whether
// it did.
func (p *Peer) Adopt(c *flow.Conn) bool {
	if p.http == nil {
		return false
	}
	p.http.Adopt(c)
	return true
}

func openOpaque(ctx context.Context, l *mux.Conn, where, target string) (flow.Duplex, error) {
	var m flow.Message
	st, err := l.Open(m.Connect(where, target), false)
	if errors.Is(err, mux.ErrFull) {
		return nil, flow.NotHanded(flow.Overloaded, err)
	}
	if err != nil {
		return nil, flow.NotHanded(flow.ConnectFailed, err)
	}
	fields, _, err := st.Head(ctx)
	if err != nil {
		st.Release()
		if ctx.Err() != nil {
			return nil, flow.Fail(flow.ConnectTimeout, err)
		}
		return nil, streamFailed(err)
	}
	if reason := answered(fields); reason != flow.ReasonNone {
		st.Release()
		return nil, &flow.Error{Reason: reason, NotHanded: reason != flow.Denied, Remote: true}
	}
	return flow.NewStreamDuplex(st, true), nil
}

// answered reads the answer to an opaque stream.
func answered(fields []flow.Field) flow.Reason {
	answer, reason, status := "", "", ""
	for i := range fields {
		switch f := &fields[i]; f.Name {
		case ":status":
			status = f.Value
		case flow.FieldAnswer:
			answer = f.Value
		case flow.FieldReason:
			reason = f.Value
		}
	}
	switch {
	case answer == flow.AnswerConnected, answer == "" && len(status) == 3 && status[0] == '2':
		return flow.ReasonNone
	case reason != "":
		return flow.ParseReason(reason)
	case answer == flow.AnswerDenied, status == "403":
		return flow.Denied
	case answer == flow.AnswerWrongWorkload, status == "421":
		return flow.WrongWorkload
	}
	return flow.ConnectFailed
}

func (p *Peer) touch() { p.used.Store(time.Now().Unix()) }

// PeersConfig is what all peers of a proxy share.
type PeersConfig struct {
	// Handshake makes a link's connection of a plain one: it proves who we
	// are and verifies that the other end is the endpoint. It gives the time
	// at which either certificate ends.
	Handshake func(ctx context.Context, c net.Conn, e mesh.Endpoint) (net.Conn, time.Time, error)
	// Dial opens a TCP connection.
	Dial    func(ctx context.Context, to netip.AddrPort) (net.Conn, error)
	Link    mux.Config
	Answer  time.Duration // default AnswerTime
	Buffers *flow.Buffers
	HTTP    HTTPConfig // Dial and Go are filled in
	// Log hears at level debug of links that failed; nil means nobody does.
	Log *slog.Logger
}

// Peers keeps one Peer for each instance, however many services lead to it.
type Peers struct {
	PeersConfig
	ctx  context.Context //nolint:containedctx // the life of the links, which outlive requests
	stop context.CancelCauseFunc
	wg   sync.WaitGroup // connections that run

	going sync.Mutex // makes Go and Close exclude each other

	mu    sync.Mutex
	peers map[peerKey]*Peer // guarded by mu
}

type peerKey struct {
	addr     netip.AddrPort
	proxy    netip.AddrPort
	identity mesh.Identity
	workload mesh.WorkloadID
}

// NewPeers makes an empty set of peers.
func NewPeers(cfg PeersConfig) *Peers {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancelCause(context.Background())
	return &Peers{PeersConfig: cfg, ctx: ctx, stop: stop, peers: make(map[peerKey]*Peer)}
}

// Go runs what lives as long as the peers do, at most; false once they end.
func (s *Peers) Go(run func(ctx context.Context)) bool {
	s.going.Lock()
	defer s.going.Unlock()
	if s.ctx.Err() != nil {
		return false
	}
	s.wg.Add(1)
	go func() {
		defer s.wg.Done()
		run(s.ctx)
	}()
	return true
}

// Get gives the peer for an endpoint.
func (s *Peers) Get(e mesh.Endpoint) *Peer {
	key := peerKey{proxy: e.Proxy, identity: e.Identity, workload: e.Workload}
	if !e.Meshed() {
		key = peerKey{addr: e.Addr}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.peers[key]; p != nil {
		return p
	}
	p := &Peer{endpoint: e, peers: s, key: key}
	p.touch()
	if e.Meshed() {
		p.links = &links{peer: p}
	} else {
		cfg := s.HTTP
		cfg.Buffers, cfg.Go = s.Buffers, s.Go
		cfg.Dial = func(ctx context.Context) (net.Conn, error) {
			s.keep(p)
			return s.Dial(ctx, e.Addr)
		}
		p.http = NewHTTP(cfg)
	}
	s.peers[key] = p
	return p
}

// Tend closes what has been idle for too long and replaces links before their
// certificates end. It is called every second or so.
func (s *Peers) Tend(now time.Time) {
	s.mu.Lock()
	all := make([]*Peer, 0, len(s.peers))
	for key, p := range s.peers {
		if p.forgotten(now) {
			delete(s.peers, key)
			continue
		}
		all = append(all, p)
	}
	s.mu.Unlock()
	for _, p := range all {
		if p.http != nil {
			p.http.Trim(now)
		} else {
			p.links.tend(now)
		}
	}
}

// peerIdle is how long a peer is known that nothing is open to.
const peerIdle = 5 * time.Minute

// forgotten says whether the peer may go: endpoints come and go, and their
// addresses with them. Whoever still holds it may use it again; see keep.
func (p *Peer) forgotten(now time.Time) bool {
	if now.Unix()-p.used.Load() < int64(peerIdle/time.Second) {
		return false
	}
	if p.http != nil {
		return p.http.empty()
	}
	return p.links.empty()
}

// keep has a peer looked after that is about to open a connection and that
// may have been forgotten.
func (s *Peers) keep(p *Peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.peers[p.key] == nil {
		s.peers[p.key] = p
	}
}

// Drain lets the links end with their last stream; Close ends them at once.
// Both keep new links from being made.
func (s *Peers) Drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.peers {
		if p.links != nil {
			p.links.drain()
		}
	}
}

// Stop ends all links at once.
func (s *Peers) Stop() { s.stop(context.Canceled) }

// Close ends all links and connections, and waits for them.
func (s *Peers) Close() {
	s.Stop()
	s.mu.Lock()
	for _, p := range s.peers {
		if p.http != nil {
			p.http.Close()
		}
	}
	s.mu.Unlock()
	s.going.Lock()   // none is being started that would not be waited for
	s.going.Unlock() //nolint:staticcheck // to have been let in is what was waited for
	s.wg.Wait()
}
