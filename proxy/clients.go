package proxy

import (
	"cmp"
	"context"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/telemetry"
)

// Applications are pinged rarely: grpc's servers end a connection whose client
// pings them more often than every five minutes, and one that a debugger has
// stopped is not dead. The kernel tells when the process is.
const (
	appKeepAlive   = 6 * time.Minute
	appPingTimeout = 20 * time.Second
)

// linkFields is how many fields a head gains on a link at most. One that was taken
// from an application or a client must not be too large for the next proxy.
const linkFields = 8

// takesConnect tells a client that it may use extended CONNECT (RFC 8441).
var takesConnect = http2.Setting{ID: http2.SettingEnableConnectProtocol, Value: 1} //nolint:gochecknoglobals // immutable

// forApplications is how connections of HTTP/2 behave whose other end is no
// proxy of ours. They share the memory of the links.
func forApplications(c mux.Config) mux.Config {
	c.Settings, c.Share = nil, nil
	c.PingAfter, c.KeepAlive, c.PingTimeout = appKeepAlive, appKeepAlive, appPingTimeout
	c.Strict = true
	if c.MaxFields > linkFields {
		c.MaxFields -= linkFields
	}
	return c
}

// ResetShare is which part of what a link may bring of resets one connection of a
// client may: a link carries those of many.
const ResetShare = 4

// sharePerFree is how many streams one who has them on connections without a
// certificate may have for each that is free on its side. One that is alone has its
// half of `client-streams`; two have two fifths of the side each, and more of them
// still leave some for whoever has few.
const sharePerFree = 2

// forClients is how connections of clients behave that speak HTTP/2, on the side
// of the workload and on that of its clients. Anybody may open such a
// connection, so together they may have half of what links may: streams of the
// mesh are not for strangers to take. Neither side may take that from the other,
// nor one of them from the others on its side.
func forClients(c mux.Config, streams int) (in, out mux.Config) {
	c.Floods.Resets = max(1, cmp.Or(c.Floods.Resets, mux.DefaultResets)/ResetShare)
	if streams > 0 {
		c.MaxStreams = min(cmp.Or(c.MaxStreams, mux.DefaultMaxStreams), max(1, streams/2))
	}
	in, out = c, c
	if c.Budget != nil {
		bytes := c.Budget.Limit() / 2
		all := c.Budget.Part(bytes, streams)
		in.Budget, out.Budget = all.Part(bytes*3/4, streams*3/4), all.Part(bytes*3/4, streams*3/4)
	}
	return in, out
}

// flooded counts and logs connections of HTTP/2 on one side that were ended for
// what came on them.
func (c *core) flooded(cfg mux.Config, side telemetry.Direction) mux.Config {
	cfg.OnFlood = func(peer net.Addr, limit string, err error) {
		c.log.Info("connection of HTTP/2 ended for a flood", "direction", side.String(), "reason", limit, "peer", peer.String(), "error", err)
		c.metrics.Counter("leno_floods_total", "Connections of HTTP/2 that were ended for what their peer sent, by the limit.",
			telemetry.Label{Name: "direction", Value: side.String()}, telemetry.Label{Name: "reason", Value: limit}).Add(1)
	}
	return cfg
}

// addrOf gives the address of a client, without its port.
func addrOf(c net.Conn) netip.Addr {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return a.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// clientSet is the HTTP/2 connections of clients. The zero value is ready; it
// is safe for concurrent use.
type clientSet struct {
	mu       sync.Mutex
	open     map[*mux.Conn]struct{} // guarded by mu
	draining bool                   // guarded by mu
}

// serve serves a client's connection until it ends, each stream on a goroutine
// of its own.
func (s *clientSet) serve(ctx context.Context, c *flow.Conn, cfg mux.Config, serve func(*flow.Seat, *mux.Stream)) {
	l := mux.NewServer(flow.ConnDuplex{Conn: c}, cfg, func(st *mux.Stream) {
		c.Seat.Begin()
		serve(c.Seat, st)
		c.Seat.End(st.Answered())
	})
	s.add(l)
	defer s.remove(l)
	c.Seat.Reads()
	defer c.Seat.Read(0)
	_ = l.Run(ctx) // every stream on it was told why it ended
}

func (s *clientSet) add(l *mux.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining {
		l.Drain()
	}
	if s.open == nil {
		s.open = make(map[*mux.Conn]struct{})
	}
	s.open[l] = struct{}{}
}

func (s *clientSet) remove(l *mux.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, l)
}

// drain asks every client to send no more requests here, also those that come
// later; what is on its way is served.
func (s *clientSet) drain() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.draining = true
	for l := range s.open {
		l.Drain()
	}
}

// malformed refuses a stream whose head makes no sense, or is too large.
func malformed(c *core, d telemetry.Direction, s *accept.Stream, f *flow.Failure, err error) {
	e := flow.AsError(err, flow.ClientGone)
	c.metrics.Failed(d, e.Reason.String())
	c.log.Info("stream refused", "direction", d.String(), "reason", e.Reason.String(), "error", err)
	if e.Reason == flow.HeaderTooLarge {
		_ = f.Answer(s, e, &flow.Request{})
		return
	}
	s.Malformed(e.Reason)
}
