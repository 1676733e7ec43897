package subscribe

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
)

// Handler takes what the control plane says. A call that gives an error keeps
// what it had before. Calls come one at a time; they must not call the Client.
// A call for a target may still be under way when Unwatch has returned.
type Handler interface {
	Inbound(*mesh.Inbound) error
	Destination(*mesh.Destination) error
	Bundle(mesh.Bundle) error
}

// Config says whom to ask and what to tell.
type Config struct {
	// Servers are "host:port" of the control plane, tried in turn.
	Servers []string
	// TLS gives the configuration for a new connection. Nil: plain text, for
	// tests in memory only.
	TLS func() *tls.Config
	// Dial opens connections. Nil: TCP with a time limit.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Handler takes the answers.
	Handler Handler
	// Registration is what the workload offers at the start; nil on Kubernetes.
	Registration *mesh.Registration
	// Version is this program's.
	Version string
	// Usage is asked at each heartbeat. Nil: nothing is reported.
	Usage func() Usage
	// StateDir keeps the last snapshots. Empty: they are not kept.
	StateDir string
	// Log takes changes of the connection and refused snapshots. Nil: none.
	Log *slog.Logger
}

// Usage is what a proxy reports about itself.
type Usage struct {
	RSS              uint64        // bytes
	CPU              time.Duration // since the process started
	CertificateUntil time.Time
}

// Status is how the subscription stands.
type Status struct {
	Connected bool
	Server    string    // "host:port" of the last attempt
	Since     time.Time // of being connected or not; zero before the first attempt
	// Version is the newest state of the catalog that this proxy has seen.
	Version mesh.Version
	// Confirmed is when both sides last agreed on everything that this proxy
	// holds. Zero: never since it started.
	Confirmed time.Time
	// LastError is why the last stream ended.
	LastError error
	// Refused are the resources that the handler did not take, with why.
	Refused map[string]string
}

// watches are the targets that are asked for, by key.
type watches map[string]mesh.Target

// Client is one proxy's subscription. Its methods may be called by any
// goroutine.
type Client struct {
	cfg  Config
	conn connections
	wake chan struct{} // to the writer: the outbox has something
	save chan struct{} // to the saver: the store changed

	// deliver is held over calls to the handler, so that they come one at a
	// time and in order. It is taken before mu.
	deliver sync.Mutex

	mu      sync.Mutex // guards everything below
	watches watches
	store   store
	out     outbox
	status  Status
	drained bool
	offers  *mesh.Registration
}

// New makes a client. Watch works at once; Restore may follow, then Run.
func New(cfg Config) *Client {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Usage == nil {
		cfg.Usage = func() Usage { return Usage{} }
	}
	return &Client{
		cfg:     cfg,
		conn:    connections{tls: cfg.TLS, dial: cfg.Dial},
		wake:    make(chan struct{}, 1),
		save:    make(chan struct{}, 1),
		watches: make(watches),
		store:   newStore(),
		out:     newOutbox(),
		offers:  cfg.Registration,
	}
}

// Watch asks for a target and keeps asking. It is idempotent. While the
// control plane is unreachable, what was known of the target is delivered.
func (c *Client) Watch(t mesh.Target) {
	c.deliver.Lock()
	defer c.deliver.Unlock()
	c.mu.Lock()
	key := wire.TargetKey(t)
	if _, ok := c.watches[key]; ok {
		c.mu.Unlock()
		return
	}
	c.watches[key] = t
	c.out.touch(t)
	var d *delivery
	if !c.status.Connected {
		d = c.store.revive(t)
	}
	c.mu.Unlock()
	signal(c.wake)
	if d != nil {
		c.hand(*d)
	}
}

// Unwatch stops asking. What was known is kept for a while, in case it is
// needed when the control plane is not there.
func (c *Client) Unwatch(t mesh.Target) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := wire.TargetKey(t)
	if _, ok := c.watches[key]; !ok {
		return
	}
	delete(c.watches, key)
	c.store.retire(t)
	c.out.drop(t)
	signal(c.wake)
}

// Drain tells the control plane that this workload takes nothing new.
func (c *Client) Drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drained = true
	c.out.status = true
	signal(c.wake)
}

// Register takes the place of the registration before. On an open stream it may
// differ from that only in what is starting.
func (c *Client) Register(reg *mesh.Registration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offers = reg
	c.out.offers = true
	signal(c.wake)
}

// Status says how the subscription stands.
func (c *Client) Status() Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.status
	s.Version = c.store.version
	s.Refused = c.store.refused()
	return s
}

// Push sends one telemetry message over the stream's connection.
func (c *Client) Push(ctx context.Context, m *gen.PushRequest) (*gen.PushResponse, error) {
	c.mu.Lock()
	server := c.status.Server
	c.mu.Unlock()
	if server == "" {
		return nil, errors.New("not connected to the control plane yet")
	}
	return c.conn.push(ctx, server, m)
}

// Run keeps a stream to the control plane until ctx ends, and then gives nil.
func (c *Client) Run(ctx context.Context) error {
	if len(c.cfg.Servers) == 0 {
		return errors.New("subscribe: no servers")
	}
	var saver sync.WaitGroup
	if c.cfg.StateDir != "" {
		saver.Go(func() { c.keepSaving(ctx) })
	}
	defer saver.Wait()
	defer c.conn.close()
	var retry backoff
	for i := 0; ctx.Err() == nil; i++ {
		server := c.cfg.Servers[i%len(c.cfg.Servers)]
		end := c.stream(ctx, server)
		c.conn.close() // the next stream shows the newest certificate
		c.down(ctx, server, end)
		sleep(ctx, retry.next(end))
	}
	return nil
}

func (c *Client) up(server string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.status.Connected {
		return
	}
	c.status.Connected, c.status.Since, c.status.LastError = true, time.Now(), nil
	c.cfg.Log.Info("connected to the control plane", "server", server)
}

// down notes the end of a stream. What was asked for and not answered is
// taken from what was known before.
func (c *Client) down(ctx context.Context, server string, end ended) {
	c.mu.Lock()
	if c.status.Connected || c.status.Since.IsZero() {
		c.status.Since = time.Now()
	}
	c.status.Connected, c.status.LastError = false, end.err
	wanted := slices.Collect(maps.Values(c.watches))
	c.mu.Unlock()
	if ctx.Err() != nil {
		return
	}
	if !end.rotate {
		c.cfg.Log.Warn("not connected to the control plane", "server", server, "err", end.err)
	}
	c.deliver.Lock()
	defer c.deliver.Unlock()
	for _, t := range wanted {
		c.mu.Lock()
		d := c.store.revive(t)
		c.mu.Unlock()
		if d != nil {
			c.hand(*d)
		}
	}
}

// hand gives one value to the handler and notes what it said. The caller
// holds deliver.
func (c *Client) hand(d delivery) {
	err := d.err
	if err == nil && d.call != nil {
		err = d.call(c.cfg.Handler)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if d.settle != nil {
		d.settle(err)
	}
	if !d.quiet {
		c.out.say(d, err)
	}
	signal(c.wake)
	if err != nil {
		c.cfg.Log.Error("snapshot refused, the one before stays", "resource", d.name.String(), "err", err)
		return
	}
	signal(c.save)
}

// signal wakes a goroutine that looks at everything when it wakes.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
