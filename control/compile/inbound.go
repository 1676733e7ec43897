package compile

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
)

// Inbound gives what a workload's own proxy must know, and false when there
// is no such workload.
//
// The ports that may be called are those that the workload registered and
// those at which an endpoint slice lists its address; on Kubernetes all others
// as well, where policies that select the workload hold.
func Inbound(ix *catalog.Index, id mesh.WorkloadID) (*mesh.Inbound, bool) {
	w := ix.Workload(id)
	if w == nil {
		return nil, false
	}
	s := ix.Settings()
	in := &mesh.Inbound{
		Workload:      w.ID,
		Identity:      w.Identity,
		Name:          w.Registration.Name,
		Namespace:     w.Namespace,
		Zone:          w.Registration.Zone,
		Node:          w.Node,
		ClusterDomain: s.ClusterDomain,
		Networks:      s.Networks,
		Ports:         inboundPorts(ix, w),
	}
	if w.AnyPort {
		in.Others = &mesh.Port{Target: netip.AddrPortFrom(w.Registration.Addr, 0), Access: access(ix, w, 0, nil)}
	}
	return in, true
}

// lead is one way to a workload's port: a service that leads there.
type lead struct {
	number   uint16 // the workload's port
	target   netip.AddrPort
	service  mesh.ServiceName
	port     uint16 // the service's port
	protocol mesh.Protocol
}

func inboundPorts(ix *catalog.Index, w *catalog.Workload) []mesh.Port {
	byNumber := make(map[uint16][]lead)
	for _, l := range leads(ix, w) {
		byNumber[l.number] = append(byNumber[l.number], l)
	}
	for _, number := range spoken(ix, w) {
		if _, ok := byNumber[number]; !ok && !proxyPort(w, number) {
			byNumber[number] = nil
		}
	}
	ports := make([]mesh.Port, 0, len(byNumber))
	for number, ls := range byNumber {
		p := mesh.Port{
			Number:   number,
			Target:   netip.AddrPortFrom(w.Registration.Addr, number),
			Protocol: cmp.Or(w.Hint(number), agreed(ls)),
			Services: serviceNames(ls),
			Access:   access(ix, w, number, ls),
		}
		if len(ls) > 0 {
			p.Target = ls[0].target
		}
		ports = append(ports, p)
	}
	slices.SortFunc(ports, func(a, b mesh.Port) int { return cmp.Compare(a.Number, b.Number) })
	return ports
}

// spoken gives the ports about which something is said although no service
// may lead there: a hint, or a policy for this one port. They matter only
// where any port may be called.
func spoken(ix *catalog.Index, w *catalog.Workload) (numbers []uint16) {
	if !w.AnyPort {
		return nil
	}
	for _, h := range w.Hints {
		numbers = append(numbers, h.Port)
	}
	for _, p := range ix.PoliciesIn(w.Namespace) {
		if p.Selects(w) {
			numbers = append(numbers, p.Ports...)
		}
	}
	return numbers
}

func proxyPort(w *catalog.Workload, number uint16) bool {
	return number == w.Registration.ProxyPort || number == w.Registration.AdminPort || w.AnyPort && number == mesh.OutboundPort
}

// leads gives all ways to the workload, its own registrations first: they
// know the target best. The proxy's own ports are never among them.
func leads(ix *catalog.Index, w *catalog.Workload) []lead {
	var ls []lead
	for _, p := range w.Registration.Services {
		name := mesh.ServiceName{Namespace: w.Namespace, Name: p.Service}
		ls = append(ls, lead{
			number:   p.Target.Port(),
			target:   inboundTarget(w, p),
			service:  name,
			port:     p.Port,
			protocol: hint(ix, name, p.Port, p.Protocol),
		})
	}
	for _, addr := range w.Addresses() {
		for _, l := range listed(ix, addr) {
			if owner(ix, addr, l.number) == w {
				ls = append(ls, l)
			}
		}
	}
	return slices.DeleteFunc(ls, func(l lead) bool { return proxyPort(w, l.number) })
}

// listed gives the ports at which slices of declared services list an address.
func listed(ix *catalog.Index, addr netip.Addr) []lead {
	var ls []lead
	for _, sl := range ix.SlicesAt(addr) {
		svc := ix.Service(sl.Service)
		if svc == nil {
			continue
		}
		for _, sp := range sl.Ports {
			for _, p := range svc.Ports {
				if p.Name == sp.Name {
					ls = append(ls, lead{
						number:   sp.Port,
						target:   netip.AddrPortFrom(addr, sp.Port),
						service:  svc.Name,
						port:     p.Port,
						protocol: cmp.Or(p.Protocol, sp.Protocol),
					})
				}
			}
		}
	}
	return ls
}

// owner says which workload answers at an address and port: the one that
// registered the port, else the first one there. One that ends has given its
// address away already if somebody else is known to have it.
func owner(ix *catalog.Index, addr netip.Addr, port uint16) *catalog.Workload {
	ws := ix.WorkloadsAt(addr)
	for _, w := range ws {
		for _, p := range w.Registration.Services {
			if p.Target.Port() == port {
				return w
			}
		}
	}
	var first *catalog.Workload
	for _, w := range ws {
		if first == nil || w.State < first.State {
			first = w
		}
	}
	if first != nil && first.State == mesh.Draining && ix.Outsider(addr) != nil {
		return nil
	}
	return first
}

// inboundTarget is where the proxy reaches the application: at the workload's
// own address, unless the registration names a loopback address.
func inboundTarget(w *catalog.Workload, p mesh.RegisteredPort) netip.AddrPort {
	if p.Target.Addr().IsLoopback() {
		return p.Target
	}
	return netip.AddrPortFrom(w.Registration.Addr, p.Target.Port())
}

// hint prefers what the declared service says over what was registered.
func hint(ix *catalog.Index, s mesh.ServiceName, port uint16, registered mesh.Protocol) mesh.Protocol {
	if svc := ix.Service(s); svc != nil {
		for _, p := range svc.Ports {
			if p.Port == port && p.Protocol != mesh.Detect {
				return p.Protocol
			}
		}
	}
	return registered
}

// agreed gives the protocol of all leads, or Detect when they differ or there
// are none.
func agreed(ls []lead) mesh.Protocol {
	if len(ls) == 0 {
		return mesh.Detect
	}
	for _, l := range ls {
		if l.protocol != ls[0].protocol {
			return mesh.Detect
		}
	}
	return ls[0].protocol
}

func serviceNames(ls []lead) []mesh.ServiceName {
	names := make([]mesh.ServiceName, len(ls))
	for i, l := range ls {
		names[i] = l.service
	}
	slices.SortFunc(names, mesh.ServiceName.Compare)
	return slices.Compact(names)
}
