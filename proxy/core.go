package proxy

import (
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/telemetry"
)

// core is what both sides of a proxy share.
type core struct {
	log      *slog.Logger
	buffers  *flow.Buffers
	metrics  *telemetry.Registry
	access   telemetry.AccessLog
	limits   http1.Limits
	times    Times
	tries    Tries
	grace    time.Duration // see Config.Grace
	own      *own
	started  time.Time
	draining atomic.Bool
	busy     atomic.Int64 // HTTP requests of clients that are under way
	clients  clientSet    // those that speak HTTP/2
	http2    mux.Config   // of connections to applications
	// inClients and outClients are of the clients' connections on each side.
	inClients, outClients mux.Config
	inSeats               flow.Seats   // of connections to the workload
	outSeats              flow.Seats   // of its clients
	waiting               flow.Seats   // of refused connections that are told so
	shedLog               atomic.Int64 // when shedding was last logged, on the proxy's clock
	// ports are the proxy's own listeners, which are never targets.
	ports   map[uint16]bool
	listens map[netip.Addr]bool
}

// self says whether an address is this workload's own, or loopback.
func (c *core) self(a netip.Addr) bool {
	return a.IsLoopback() || c.listens[a]
}

// clock is the one monotonic clock of the balancer: time since the start.
func (c *core) clock() time.Duration { return time.Since(c.started) }

// random gives 64 random bits, cheaply.
func random() uint64 { return rand.Uint64() } // it balances, it guards nothing

// counters are the metrics of one edge, made when they are first needed.
type counters struct {
	metrics *telemetry.Registry
	edge    telemetry.Edge
	http    atomic.Pointer[telemetry.HTTP]
	tcp     atomic.Pointer[telemetry.TCP]
}

func (c *counters) HTTP() *telemetry.HTTP {
	if h := c.http.Load(); h != nil {
		return h
	}
	h := c.metrics.HTTP(c.edge) // the same edge always gives the same counters
	c.http.Store(h)
	return h
}

func (c *counters) TCP() *telemetry.TCP {
	if t := c.tcp.Load(); t != nil {
		return t
	}
	t := c.metrics.TCP(c.edge)
	c.tcp.Store(t)
	return t
}
