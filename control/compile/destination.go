package compile

import (
	"net/netip"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
)

// Caller is who asks for a destination, as far as the answer depends on it.
type Caller struct {
	Namespace string // what a bare name is looked up in
	Zone      string
}

// Destination gives how a target is reached. It never gives nil: a target in
// nobody's books is of kind mesh.DestinationUnknown.
//
// An address is first looked up as a service's, then as an instance's. A
// service that is known is still unknown at a port that it does not have.
func Destination(ix *catalog.Index, caller Caller, t mesh.Target) (*mesh.Destination, Deps) {
	b := &builder{ix: ix, caller: caller, dest: &mesh.Destination{Target: t, Default: -1}}
	if t.Host != "" {
		if s, ok := ServiceOf(t.Host, caller.Namespace, ix.Settings().ClusterDomain); ok {
			b.service(s, t.Port)
		}
		return b.dest, b.deps
	}
	b.deps.addAddr(t.Addr)
	for _, svc := range ix.ServicesAt(t.Addr) {
		if b.service(svc.Name, t.Port) {
			return b.dest, b.deps
		}
	}
	b.instance(t.Addr, t.Port)
	return b.dest, b.deps
}

// builder fills one destination and notes what it looked at.
type builder struct {
	ix     *catalog.Index
	caller Caller
	dest   *mesh.Destination
	deps   Deps
}

// service makes the destination a service, and says false when there is no
// such service or it has no such port.
func (b *builder) service(name mesh.ServiceName, port uint16) bool {
	b.deps.addService(name)
	protocol, ok := servicePort(b.ix, name, port)
	if !ok {
		return false
	}
	d := b.dest
	d.Kind, d.Service, d.Port, d.Protocol = mesh.DestinationService, name, port, protocol
	d.Default = b.set(name, port)
	d.Route = b.route(name, port)
	return true
}

// instance makes the destination one endpoint, called by its own address.
// It needs no proxy: a database that a slice lists is an instance, too.
func (b *builder) instance(addr netip.Addr, port uint16) {
	for _, sl := range b.ix.SlicesAt(addr) {
		b.deps.addService(sl.Service)
	}
	for _, w := range b.ix.WorkloadsAt(addr) {
		for _, s := range w.Offers() {
			b.deps.addService(s)
		}
	}
	ls := leadsTo(b.ix, addr, port)
	if len(ls) == 0 {
		return
	}
	d, first := b.dest, ls[0]
	d.Kind, d.Service, d.Port, d.Protocol = mesh.DestinationWorkload, first.service, first.port, agreed(ls)
	for _, e := range endpoints(b.ix, first.service, first.port) {
		if e.Addr == netip.AddrPortFrom(addr, port) {
			d.Default = 0
			d.Sets = []mesh.EndpointSet{{Service: first.service, Port: first.port, Endpoints: []mesh.Endpoint{e}}}
			return
		}
	}
}

// leadsTo gives the services that lead to an address and port.
func leadsTo(ix *catalog.Index, addr netip.Addr, port uint16) []lead {
	var ls []lead
	if w := owner(ix, addr, port); w != nil {
		ls = leads(ix, w)
	} else {
		ls = listed(ix, addr)
	}
	var found []lead
	for _, l := range ls {
		if l.number == port {
			found = append(found, l)
		}
	}
	return found
}

// set gives the index in Sets of a service's endpoints and adds them when
// they are not there yet; -1 when the service or its port is not known.
func (b *builder) set(name mesh.ServiceName, port uint16) int {
	b.deps.addService(name)
	for i, s := range b.dest.Sets {
		if s.Service == name && s.Port == port {
			return i
		}
	}
	if _, ok := servicePort(b.ix, name, port); !ok {
		return -1
	}
	b.dest.Sets = append(b.dest.Sets, mesh.EndpointSet{Service: name, Port: port, Endpoints: endpoints(b.ix, name, port)})
	return len(b.dest.Sets) - 1
}
