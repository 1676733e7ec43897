package compile

import (
	"cmp"
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
		b.host(t.Host, t.Port)
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

// maxAliases bounds names that stand for names.
const maxAliases = 4

// host makes the destination what a name means. A service that stands for
// another name of the mesh is that one; a name outside stays unknown, and
// whoever calls it looks it up.
func (b *builder) host(host string, port uint16) {
	for range maxAliases {
		s, ok := ServiceOf(host, b.caller.Namespace, b.ix.Settings().ClusterDomain)
		if !ok {
			return
		}
		svc := b.ix.Service(s)
		if svc == nil || svc.Alias == "" {
			b.service(s, port)
			return
		}
		b.deps.addService(s)
		host = svc.Alias
	}
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
	b.listing(addr)
	for _, w := range b.ix.WorkloadsAt(addr) {
		for _, s := range w.Offers() {
			b.deps.addService(s)
		}
		for _, a := range w.Addresses() {
			if a != addr {
				b.deps.addAddr(a)
				b.listing(a)
			}
		}
	}
	w := owner(b.ix, addr, port)
	ls := leadsTo(b.ix, w, addr, port)
	e, known := instanceAt(b.ix, w, netip.AddrPortFrom(addr, port))
	if !known && len(ls) == 0 {
		return
	}
	d := b.dest
	d.Kind, d.Port, d.Protocol, d.Default = mesh.DestinationWorkload, port, agreed(ls), 0
	if w != nil {
		d.Protocol = cmp.Or(w.Hint(port), d.Protocol)
	}
	if len(ls) > 0 {
		d.Service, d.Port = ls[0].service, ls[0].port
	}
	d.Sets = []mesh.EndpointSet{{Service: d.Service, Port: d.Port, Endpoints: []mesh.Endpoint{e}}}
}

// listing notes the services whose slices list an address.
func (b *builder) listing(addr netip.Addr) {
	for _, sl := range b.ix.SlicesAt(addr) {
		b.deps.addService(sl.Service)
	}
}

// instanceAt gives the endpoint at an address, and whether it is known to be
// there whatever the port. Nobody's books are needed for a port of somebody
// who may be called at any.
func instanceAt(ix *catalog.Index, w *catalog.Workload, at netip.AddrPort) (mesh.Endpoint, bool) {
	e, known := mesh.Endpoint{Addr: at}, false
	if w != nil {
		e, known = endpointOf(w, at), w.AnyPort && at.Port() != w.Registration.ProxyPort
	} else if o := ix.Outsider(at.Addr()); o != nil {
		e.Name, e.Zone, known = o.Name, o.Zone, true
	}
	for _, sl := range ix.SlicesAt(at.Addr()) {
		for _, se := range sl.Endpoints {
			if se.Addr == at.Addr() {
				e.Name, e.Zone = cmp.Or(e.Name, se.Name), cmp.Or(e.Zone, se.Zone)
				e.State = max(e.State, se.State) // the worse of both
			}
		}
	}
	return e, known
}

// leadsTo gives the services that lead to an address and port, where w is.
func leadsTo(ix *catalog.Index, w *catalog.Workload, addr netip.Addr, port uint16) []lead {
	var ls []lead
	if w != nil {
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
