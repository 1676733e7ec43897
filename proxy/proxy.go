package proxy

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/identify"
	"github.com/leno-mesh/leno/proxy/link"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/proxy/send"
	"github.com/leno-mesh/leno/proxy/socket"
	"github.com/leno-mesh/leno/telemetry"
)

// Defaults of Config.
const (
	defaultMaxConns     = 16384
	defaultHandshakes   = 512
	defaultDestinations = 4096
	defaultDrain        = 30 * time.Second
)

// DefaultUnsent is as many bytes as a link lets wait in the kernel.
const DefaultUnsent = 64 << 10

// Upstream is a local port that leads to one destination, for any protocol.
type Upstream struct {
	Listen netip.AddrPort
	Target mesh.Target
}

// Config is what a proxy is given at its start. Listeners are opened by New.
type Config struct {
	// Inbound listens for links and redirected traffic, Outbound for this
	// workload's clients.
	Inbound  netip.AddrPort
	Outbound []netip.AddrPort
	// Addrs are further addresses of the workload, where links come too.
	Addrs []netip.Addr
	// Redirected says that connections to the listeners may have been
	// captured, so that their original destination counts.
	Redirected bool
	Upstreams  []Upstream
	// Ports that are never targets, besides the listeners' own.
	OwnPorts []uint16

	// ClientUID are the users whose connections the outbound side takes,
	// besides root; none means every user's. It keeps one user of a machine
	// from using another's identity.
	ClientUID []uint32

	Identity *identity.Source
	Metrics  *telemetry.Registry
	Access   telemetry.AccessLog
	Log      *slog.Logger
	Limits   http1.Limits
	// Link bounds what peers may do on links, and what applications may do on
	// connections of HTTP/2.
	Link mux.Config
	// Software is the release of this proxy, "major.minor.patch".
	Software string
	// Grace is how long a client may say nothing before the way to the server
	// is opened early. Default accept.Grace.
	Grace time.Duration
	// MaxConns bounds the connections of each side: links and what is
	// redirected to the workload, and its clients. Default 16384.
	MaxConns int
	// MaxHandshakes bounds the handshakes of links under way. Default 512.
	MaxHandshakes int
	// MaxDestinations bounds what clients can make the proxy ask the control
	// plane for. Default 4096.
	MaxDestinations int
	// PeerLinks and PeerStreams bound the links of one workload and the streams
	// on them that are being served. 0 means no bound.
	PeerLinks, PeerStreams int
	// ClientStreams bounds the streams of all clients' connections of HTTP/2
	// that are being served. 0 means no bound.
	ClientStreams int
	// AppConns and AppQueue bound the HTTP/2 connections to one application,
	// and the requests that wait for one. Defaults send.DefaultShared and
	// send.DefaultQueued.
	AppConns, AppQueue int
	// IdleConns bounds the connections of HTTP/1 to all applications that are
	// kept without a request; 0 means no bound. AppIdle bounds those to one, of
	// which AppIdleLong are kept for long. Defaults send.MaxIdleConns and
	// send.LongIdleConns.
	IdleConns, AppIdle, AppIdleLong int
	// MaxUnsent bounds the bytes that wait in the kernel for one connection.
	// Default DefaultUnsent.
	MaxUnsent int
	// MaxAwaiting bounds the requests that wait for one destination to get an
	// endpoint, and MaxStrangers the ports that nothing names with connections
	// kept. Defaults MaxAwaiting and MaxStrangers.
	MaxAwaiting, MaxStrangers int
	// MaxTold bounds the refused connections that are being told why at once. Default
	// MaxTold.
	MaxTold int
	Times   Times
	Tries   Tries
	// WideBuffers bounds what connections have beyond their small buffers, in
	// bytes. 0 means no bound.
	WideBuffers int64
	// DrainTimeout bounds the time from the end of Run's context to the end
	// of the last connection. Default 30 s.
	DrainTimeout time.Duration
	// Watch and Unwatch tell the subscription what this proxy calls.
	Watch, Unwatch func(mesh.Target)
}

// Proxy is one data plane. It takes snapshots as a subscribe.Handler does.
type Proxy struct {
	cfg      Config
	core     *core
	inbound  *inbound
	outbound *outbound
	owners   accept.Owners
	peers    *send.Peers
	idle     *send.Idle // nil: without a bound

	listeners []*accept.Listener
}

// New opens the listeners and builds both sides. Nothing is served before Run.
func New(cfg Config) (*Proxy, error) {
	for _, d := range []struct {
		v         *int
		otherwise int
	}{
		{&cfg.MaxConns, defaultMaxConns},
		{&cfg.MaxHandshakes, defaultHandshakes},
		{&cfg.MaxDestinations, defaultDestinations},
		{&cfg.MaxUnsent, DefaultUnsent},
		{&cfg.MaxAwaiting, MaxAwaiting},
		{&cfg.MaxStrangers, MaxStrangers},
		{&cfg.MaxTold, MaxTold},
	} {
		if *d.v == 0 {
			*d.v = d.otherwise
		}
	}
	if cfg.Grace == 0 {
		cfg.Grace = accept.Grace
	}
	if cfg.DrainTimeout == 0 {
		cfg.DrainTimeout = defaultDrain
	}
	cfg.Link.Settings = link.Capabilities{Version: link.Version, Software: cfg.Software}.Settings()
	p := &Proxy{cfg: cfg}
	if cfg.IdleConns > 0 {
		p.idle = &send.Idle{Max: cfg.IdleConns}
	}
	p.core = &core{
		log: cfg.Log, buffers: &flow.Buffers{Wide: cfg.WideBuffers}, metrics: cfg.Metrics, access: cfg.Access,
		limits: cfg.Limits, http2: forApplications(cfg.Link), grace: cfg.Grace, own: newOwn(), started: time.Now(), ports: ownPorts(cfg),
		listens: make(map[netip.Addr]bool), times: cfg.Times.WithDefaults(), tries: cfg.Tries.WithDefaults(),
	}
	for _, a := range inboundListens(cfg) {
		p.core.listens[a.Addr()] = true
	}
	in, out := forClients(p.core.http2, cfg.ClientStreams)
	p.core.inClients, p.core.outClients = p.core.flooded(in, telemetry.Inbound), p.core.flooded(out, telemetry.Outbound)
	p.core.inSeats.Max, p.core.outSeats.Max, p.core.waiting.Max = cfg.MaxConns, cfg.MaxConns, cfg.MaxTold
	for _, seats := range []*flow.Seats{&p.core.inSeats, &p.core.outSeats} {
		t := &p.core.times
		seats.Lately, seats.Part, seats.Idle, seats.Slow = t.OpaqueQuiet, t.Part, t.ClientIdle, t.SlowBody
		seats.Ended = t.ClientEnded
	}
	sessions := tls.NewLRUClientSessionCache(1024)
	p.peers = send.NewPeers(send.PeersConfig{
		Dial: p.dialPeer, Link: p.core.flooded(cfg.Link, telemetry.Outbound), Answer: p.core.times.Answer, Buffers: p.core.buffers, Log: p.core.log,
		HTTP: p.pools(telemetry.Outbound),
		Handshake: func(ctx context.Context, c net.Conn, e mesh.Endpoint) (net.Conn, time.Time, error) {
			tuneLink(c)
			ctx, cancel := context.WithTimeout(ctx, identify.Timeout)
			defer cancel()
			t, peer, err := identify.Dialled(ctx, cfg.Identity, sessions, socket.NewGather(c), e)
			return t, peer.Until, err
		},
	})
	p.buildOutbound()
	p.buildInbound()
	if err := p.listen(); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *Proxy) buildOutbound() {
	d := &destinations{
		peers: p.peers, clock: p.core.clock, watch: p.cfg.Watch, unwatch: p.cfg.Unwatch,
		m: make(map[mesh.Target]*destination), meshed: make(map[mesh.Target]bool), most: p.cfg.MaxDestinations,
		awaiting: p.cfg.MaxAwaiting, startWait: p.core.times.Start,
	}
	d.counters = p.outboundCounters
	p.outbound = &outbound{core: p.core, destinations: d, lookup: systemLookup}
}

func (p *Proxy) outboundCounters(d *mesh.Destination, e mesh.Endpoint) *counters {
	edge := telemetry.Edge{
		Direction: telemetry.Outbound, TLS: e.Meshed(), ServerID: e.Identity, Authority: d.Target.String(),
		DstNamespace: d.Service.Namespace, DstService: d.Service.Name, DstPod: e.Name,
	}
	if !edge.TLS {
		edge.NoTLSReason = "not_meshed"
		if !e.Addr.IsValid() {
			edge.NoTLSReason = "unknown" // there was no endpoint
		}
	}
	if own := p.core.own.inbound(); own != nil {
		edge.ClientID = own.Identity
	}
	return &counters{metrics: p.cfg.Metrics, edge: edge}
}

func (p *Proxy) buildInbound() {
	config := p.cfg.Identity.ServerTLS(link.ALPN)
	p.inbound = &inbound{
		core: p.core, link: p.core.flooded(p.cfg.Link, telemetry.Inbound), strangers: strangers{pool: p.appPool, most: p.cfg.MaxStrangers},
		handshakes: flow.Seats{Max: p.cfg.MaxHandshakes},
		links:      linkSet{shares: shares[mesh.WorkloadID]{mostLinks: p.cfg.PeerLinks, mostStreams: p.cfg.PeerStreams}},
		strange:    shares[netip.Addr]{mostStreams: p.cfg.ClientStreams / 2, perFree: sharePerFree},
		identify: func(ctx context.Context, c net.Conn) (net.Conn, identify.Peer, error) {
			tuneLink(c)
			ctx, cancel := context.WithTimeout(ctx, p.core.times.Handshake)
			defer cancel()
			return identify.Accepted(ctx, config, p.cfg.Identity, socket.NewGather(c))
		},
	}
}

func (p *Proxy) appPool(port mesh.Port) *send.HTTP {
	cfg := p.pools(telemetry.Inbound)
	cfg.App, cfg.Buffers, cfg.Go = true, p.core.buffers, p.peers.Go
	cfg.Dial = func(ctx context.Context) (net.Conn, error) { return dialApp(ctx, port.Target, p.core.times.AppConnect) }
	return send.NewHTTP(cfg)
}

// pools is what all pools of connections on one side have in common.
func (p *Proxy) pools(side telemetry.Direction) send.HTTPConfig {
	cfg, t := &p.cfg, &p.core.times
	return send.HTTPConfig{
		Limits: cfg.Limits, Idle: p.idle, HTTP2: p.core.flooded(p.core.http2, side),
		MaxShared: cfg.AppConns, MaxQueued: cfg.AppQueue, QueueTime: t.AppQueue, SettleTime: t.AppSettle,
		MaxIdle: cfg.AppIdle, LongIdle: cfg.AppIdleLong, IdleTime: t.AppIdle, SpareTime: t.AppSpare,
	}
}

func ownPorts(cfg Config) map[uint16]bool {
	ports := map[uint16]bool{cfg.Inbound.Port(): true}
	for _, a := range cfg.Outbound {
		ports[a.Port()] = true
	}
	for _, n := range cfg.OwnPorts {
		ports[n] = true
	}
	return ports
}

func inboundListens(cfg Config) []netip.AddrPort {
	all := []netip.AddrPort{cfg.Inbound}
	for _, a := range cfg.Addrs {
		all = append(all, netip.AddrPortFrom(a, cfg.Inbound.Port()))
	}
	return all
}

// listen opens every listener.
func (p *Proxy) listen() error {
	add := func(at netip.AddrPort, what string, seats *flow.Seats, serve func(context.Context, *flow.Conn)) error {
		l, err := accept.Open(context.Background(), at, p.cfg.MaxUnsent)
		if err != nil {
			return fmt.Errorf("listen for %s: %w; is another proxy running at this address?", what, err)
		}
		seated := func(ctx context.Context, c net.Conn) { p.core.seated(ctx, c, seats, serve) }
		// What is being refused, or has just lost its seat, comes on top.
		p.listeners = append(p.listeners, &accept.Listener{
			Listener: l, Serve: seated, Max: 2*p.cfg.MaxConns + p.cfg.MaxTold,
		})
		return nil
	}
	for _, at := range inboundListens(p.cfg) {
		if err := add(at, "links", &p.core.inSeats, func(ctx context.Context, c *flow.Conn) {
			p.inbound.connection(ctx, c, p.redirected(c.Conn))
		}); err != nil {
			return err
		}
	}
	for _, at := range p.cfg.Outbound {
		if err := add(at, "clients", &p.core.outSeats, func(ctx context.Context, c *flow.Conn) {
			if p.mayUse(ctx, c) {
				p.outbound.connection(ctx, c, targetAt(p.redirected(c.Conn)))
			}
		}); err != nil {
			return err
		}
	}
	for _, u := range p.cfg.Upstreams {
		if err := add(u.Listen, "upstream "+u.Target.String(), &p.core.outSeats, func(ctx context.Context, c *flow.Conn) {
			if p.mayUse(ctx, c) {
				p.outbound.connection(ctx, c, u.Target)
			}
		}); err != nil {
			return err
		}
	}
	return nil
}

// mayUse says whether the client is a user who may use this identity; one who
// may not is refused here and now.
func (p *Proxy) mayUse(ctx context.Context, c *flow.Conn) bool {
	if len(p.cfg.ClientUID) == 0 {
		return true
	}
	uid, err := p.owners.UID(c.Conn)
	if err == nil && (uid == 0 || slices.Contains(p.cfg.ClientUID, uid)) {
		return true
	}
	if err == nil {
		err = fmt.Errorf("it belongs to user %d; name that user with --client-user if it is this workload's", uid)
	}
	p.cfg.Log.Warn("client refused", "reason", flow.ForeignUser.String(), "error", err)
	p.core.tell(ctx, telemetry.Outbound, c, flow.NotHanded(flow.ForeignUser, err))
	return false
}

func (p *Proxy) redirected(c net.Conn) netip.AddrPort {
	if !p.cfg.Redirected {
		return netip.AddrPort{}
	}
	return accept.RedirectedTo(c)
}

func targetAt(a netip.AddrPort) mesh.Target {
	if !a.IsValid() {
		return mesh.Target{}
	}
	return mesh.Target{Addr: a.Addr(), Port: a.Port()}
}

// Run serves until ctx ends, drains, and then ends what is left.
func (p *Proxy) Run(ctx context.Context) error {
	serving, force := context.WithCancel(context.WithoutCancel(ctx))
	defer force()
	accepting, stop := context.WithCancel(serving)
	defer stop()
	group, gctx := errgroup.WithContext(accepting)
	for _, l := range p.listeners {
		group.Go(func() error { return l.Run(gctx, serving) })
	}
	group.Go(func() error { return p.tend(gctx) })
	group.Go(func() error {
		select {
		case <-ctx.Done():
			p.drain(stop)
		case <-gctx.Done():
		}
		stop()
		force()
		p.core.inSeats.Close()
		p.core.outSeats.Close()
		p.core.waiting.Close()
		p.peers.Stop()
		return nil
	})
	err := group.Wait()
	p.peers.Close()
	p.core.own.close()
	p.inbound.strangers.close()
	_ = p.owners.Close()
	if errors.Is(err, context.Canceled) {
		err = nil
	}
	return err
}

// tend does once a second what nobody waits for.
func (p *Proxy) tend(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			p.outbound.destinations.tend(p.core.clock())
			p.peers.Tend(now)
			p.trim(now)
			p.inbound.links.tend(now)
			p.sweep()
		}
	}
}

// sweep ends connections that are of no use any more, or hold streams that others
// need and do not move.
func (p *Proxy) sweep() {
	excess := 0
	if b := p.cfg.Link.Budget; b != nil && b.MaxServed > 0 {
		excess = b.Served() - b.MaxServed*7/8
	}
	for _, side := range []telemetry.Direction{telemetry.Inbound, telemetry.Outbound} {
		seats := &p.core.inSeats
		if side == telemetry.Outbound {
			seats = &p.core.outSeats
		}
		ended := seats.Sweep(excess)
		excess -= ended.Streams
		if ended.Idle > 0 {
			p.core.idled(side, ended.Idle)
		}
		for range ended.Conns {
			p.core.shed(side, "requests that waited for their client were ended, since streams or connections were short")
		}
	}
}

// trim closes connections to the application that nobody needed for long.
func (p *Proxy) trim(now time.Time) {
	p.core.own.trim(now)
	p.inbound.strangers.trim(now)
}

func (p *Proxy) close() {
	for _, l := range p.listeners {
		_ = l.Listener.Close()
	}
	p.peers.Close()
}

// Ready is closed when the proxy holds its own snapshot.
func (p *Proxy) Ready() <-chan struct{} { return p.core.own.ready }

// Inbound takes this workload's own snapshot.
func (p *Proxy) Inbound(m *mesh.Inbound) error {
	if err := p.core.own.apply(m, p.appPool); err != nil {
		return err
	}
	p.inbound.links.enforce(p.core.own.current.Load())
	p.outbound.destinations.move(mesh.Place{Zone: m.Zone, Node: m.Node})
	return nil
}

// Destination takes the description of a watched target.
func (p *Proxy) Destination(m *mesh.Destination) error { return p.outbound.destinations.apply(m) }

// Bundle takes the trust anchors.
func (p *Proxy) Bundle(b mesh.Bundle) error { return p.cfg.Identity.SetBundle(b) }

// Spent is how much of what is limited is in use.
type Spent struct {
	Inbound, Clients int // connections
	Handshakes       int
	Links            int
	Streams          int // of links, being served
	LinkBuffers      int64
	WideBuffers      int64
	Destinations     int
}

// Spent gives what is in use now.
func (p *Proxy) Spent() Spent {
	s := Spent{
		Inbound: p.core.inSeats.Len(), Clients: p.core.outSeats.Len(), Handshakes: p.inbound.handshakes.Len(),
		Links: p.inbound.links.open(), WideBuffers: p.core.buffers.Used(), Destinations: p.outbound.destinations.len(),
	}
	if b := p.cfg.Link.Budget; b != nil {
		s.Streams, s.LinkBuffers = b.Served(), b.Used()
	}
	return s
}

// Believes gives what the proxy knows, for the debug page.
type Believes struct {
	Inbound      *mesh.Inbound
	Destinations []*mesh.Destination
}

// Snapshot gives what the proxy believes now.
func (p *Proxy) Snapshot() Believes {
	return Believes{p.core.own.inbound(), p.outbound.destinations.snapshot()}
}
