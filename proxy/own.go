package proxy

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/send"
	"github.com/leno-mesh/leno/proxy/socket"
	"github.com/leno-mesh/leno/telemetry"
)

// own is what this proxy knows about its own workload: the inbound snapshot
// with the connections to the application that it needs.
type own struct {
	current atomic.Pointer[ownState]
	ready   chan struct{} // closed with the first snapshot

	mu sync.Mutex // serialises apply
}

type ownState struct {
	*mesh.Inbound
	ports map[uint16]*ownPort
}

// ownPort is one port of the workload that may be called.
type ownPort struct {
	mesh.Port
	app     *send.HTTP
	service string
}

func newOwn() *own { return &own{ready: make(chan struct{})} }

// inbound gives the snapshot, or nil before the first.
func (o *own) inbound() *mesh.Inbound {
	if s := o.current.Load(); s != nil {
		return s.Inbound
	}
	return nil
}

// apply builds what a new snapshot needs and swaps one pointer. Ports that
// stay keep their connections.
func (o *own) apply(m *mesh.Inbound, pool func(mesh.Port) *send.HTTP) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	was := o.current.Load()
	next := &ownState{Inbound: m, ports: make(map[uint16]*ownPort, len(m.Ports))}
	for _, p := range m.Ports {
		op := &ownPort{Port: p}
		if len(p.Services) > 0 {
			op.service = p.Services[0].String()
		}
		if old := was.port(p.Number); old != nil && old.Target == p.Target {
			op.app = old.app
		} else {
			op.app = pool(p)
		}
		next.ports[p.Number] = op
	}
	o.current.Store(next)
	if was == nil {
		close(o.ready)
		return nil
	}
	for n, old := range was.ports {
		if now := next.ports[n]; now == nil || now.app != old.app {
			old.app.Close()
		}
	}
	return nil
}

// close closes the connections to the application that wait for requests.
func (o *own) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s := o.current.Load(); s != nil {
		for _, p := range s.ports {
			p.app.Close()
		}
	}
}

// trim closes the connections to the application that have waited for too long.
func (o *own) trim(now time.Time) {
	if s := o.current.Load(); s != nil {
		for _, p := range s.ports {
			p.app.Trim(now)
		}
	}
}

// access gives who may call a port, and false for one that is not served.
func (s *ownState) access(n uint16) (mesh.Access, bool) {
	if p := s.port(n); p != nil {
		return p.Access, true
	}
	if s != nil && s.Others != nil {
		return s.Others.Access, true
	}
	return mesh.Access{}, false
}

func (s *ownState) port(n uint16) *ownPort {
	if s == nil {
		return nil
	}
	return s.ports[n]
}

// dialApp connects to the application from the address at which it listens:
// a database that trusts 127.0.0.1 must not take the mesh for it, unless it
// listens there.
func dialApp(ctx context.Context, to netip.AddrPort, timeout time.Duration) (net.Conn, error) {
	d := net.Dialer{Timeout: timeout, LocalAddr: &net.TCPAddr{IP: to.Addr().AsSlice()}}
	c, err := d.DialContext(ctx, "tcp", to.String())
	if err != nil {
		return nil, err
	}
	return socket.New(c), nil
}

// Reach connects to the application at a port and closes the connection again:
// for whoever asks whether it listens. Behind a redirect a connection from
// outside would only show that the proxy does.
func (p *Proxy) Reach(ctx context.Context, port uint16) error {
	if p.core.ports[port] {
		return fmt.Errorf("port %d is the proxy's own", port)
	}
	to := netip.AddrPortFrom(p.cfg.Inbound.Addr(), port)
	if named := p.core.own.current.Load().port(port); named != nil {
		to = named.Target
	}
	return ReachAt(ctx, to)
}

// ReachAt connects to the application where it listens, as requests do, and
// closes the connection again.
func ReachAt(ctx context.Context, to netip.AddrPort) error {
	c, err := dialApp(ctx, to, AppConnectTimeout)
	if err != nil {
		return err
	}
	return c.Close()
}

// judge decides whether a caller may use a port, and counts the decision.
func (c *core) judge(p *ownPort, caller mesh.Identity, tcp bool) mesh.Decision {
	d := p.Access.Decide(caller)
	if len(p.Access.Policies) == 0 {
		return d
	}
	e := telemetry.Edge{Direction: telemetry.Inbound, TLS: caller != "", ClientID: caller, DstService: p.service}
	a := c.metrics.Authz(e, tcp, d.Rule)
	if d.Allowed {
		a.Allow()
	} else {
		a.Deny()
	}
	if d.AuditDenied != "" {
		c.metrics.Authz(e, tcp, d.AuditDenied).AuditDeny()
		c.log.Info("would be denied", "policy", d.AuditDenied, "client", caller, "port", p.Number)
	}
	if !d.Allowed {
		c.log.Info("denied", "policy", d.Rule, "client", caller, "port", p.Number, "reason", flow.Denied.String())
	}
	return d
}
