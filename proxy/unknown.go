package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/balance"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/route"
)

// lookupTTL is how long the addresses of an outside name are used.
const lookupTTL = 30 * time.Second

// plainRoute is a destination that no door knows and that may be called in
// plain text.
type plainRoute struct {
	*resolved
	until time.Duration // on the proxy's clock; outside names are looked up again
}

// resolve gives what the control plane knows about a destination. What nobody
// knows fails inside the mesh's own networks and under its names, since it may
// be meshed; elsewhere it is passed plainly, and counted.
func (o *outbound) resolve(ctx context.Context, d *destination) (*resolved, error) {
	r, err := d.await(ctx)
	if err == nil && r.Kind != mesh.DestinationUnknown {
		return r, nil
	}
	if p := d.plain.Load(); p != nil && o.clock() < p.until {
		return p.resolved, nil
	}
	addrs, fault := o.outside(ctx, d, err == nil)
	switch {
	case fault != nil:
		return nil, fault
	case len(addrs) > 0:
	case err == nil:
		return o.appearing(ctx, d)
	default:
		return nil, err
	}
	p, err := o.plain(d.target, addrs)
	if err != nil {
		return nil, err
	}
	d.plain.Store(p)
	return p.resolved, nil
}

// appearing waits a bounded time for somebody to know an address of the mesh's
// own networks: an instance can tell others its address before the control
// plane has heard of it. Names are known before anybody calls them.
func (o *outbound) appearing(ctx context.Context, d *destination) (*resolved, error) {
	unknown := flow.NotHanded(flow.UnknownDestination, errors.New(d.target.String()))
	if !d.target.Addr.IsValid() {
		return nil, unknown
	}
	var r *resolved
	e := d.waiting.wait(ctx, o.clock, func() outlook {
		if r = d.current.Load(); r.Kind == mesh.DestinationUnknown {
			return empty
		}
		return usable
	})
	switch {
	case e == nil:
		return r, nil
	case e.Reason == flow.NoEndpoints:
		return nil, unknown
	default:
		return nil, e
	}
}

var errOwnPort = errors.New("that is a port of this proxy")

// outside gives the addresses of a destination if all of them are outside the
// mesh's networks, and none otherwise. Answered says whether the control plane
// has said that it does not know the destination; what was a part of the mesh
// before never is outside.
func (o *outbound) outside(ctx context.Context, d *destination, answered bool) ([]netip.Addr, *flow.Error) {
	own, t := o.own.inbound(), d.target
	if own == nil || d.meshed.Load() {
		return nil, nil
	}
	addrs := []netip.Addr{t.Addr}
	if t.Host != "" {
		if meshName(t.Host, own) || !answered && mayBeMeshName(t.Host) {
			return nil, nil
		}
		var err error
		if addrs, err = o.lookup(ctx, t.Host); err != nil {
			return nil, nil
		}
	}
	for i, a := range addrs {
		a = a.Unmap().WithZone("") // networks have no zones
		if o.ports[t.Port] && (o.self(a) || a.IsUnspecified()) {
			return nil, flow.NotHanded(flow.Loop, errOwnPort)
		}
		if inside(a, own.Networks) {
			return nil, nil
		}
		addrs[i] = a
	}
	return addrs, nil
}

func inside(a netip.Addr, networks []netip.Prefix) bool {
	if a.IsUnspecified() { // the kernel takes it for loopback
		a = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	}
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}

// meshName says whether a name can only be one of the mesh's.
func meshName(host string, own *mesh.Inbound) bool {
	_, namespace, dotted := strings.Cut(host, ".")
	return !dotted || namespace == own.Namespace || strings.HasSuffix(host, ".svc") ||
		own.ClusterDomain != "" && strings.HasSuffix(host, ".svc."+own.ClusterDomain)
}

// mayBeMeshName says whether a name can be a service and its namespace. Then
// only the control plane can tell whether it is: the same name may lead
// somebody else's way in the DNS.
func mayBeMeshName(host string) bool { return strings.Count(host, ".") == 1 }

func (o *outbound) plain(t mesh.Target, addrs []netip.Addr) (*plainRoute, error) {
	m := &mesh.Destination{Target: t, Port: t.Port, Sets: []mesh.EndpointSet{{Port: t.Port}}}
	for _, a := range addrs {
		m.Sets[0].Endpoints = append(m.Sets[0].Endpoints, mesh.Endpoint{Addr: netip.AddrPortFrom(a.Unmap(), t.Port)})
	}
	table, err := route.NewTable(m)
	if err != nil {
		return nil, fmt.Errorf("plain route to %v: %w", t, err)
	}
	set := balance.NewSet(func(e mesh.Endpoint) *instance { return o.destinations.instance(m, e) }, (*instance).Leaving)
	set.Update(o.clock(), m.Sets[0].Endpoints)
	r := o.destinations.resolved(m, table)
	r.sets = []*balance.Set[*instance]{set}
	return &plainRoute{r, o.clock() + lookupTTL}, nil
}

func systemLookup(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}
