package wire

import (
	"net/netip"
	"strconv"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire/gen"
)

// TargetKey is the key of a destination: "host:port", or "@addr:port" so that
// a host that looks like an address stays something else.
func TargetKey(t mesh.Target) string {
	if t.Addr.IsValid() {
		return "@" + t.String()
	}
	return t.String()
}

// SetKey is the key of the destination's set with this index. The set of a
// service is the same in every destination that refers to it, and so is its
// key; a set that belongs to no service is the destination's own.
func SetKey(d *mesh.Destination, index int) string {
	s := d.Sets[index]
	if d.Kind == mesh.DestinationService && s.Service != (mesh.ServiceName{}) {
		return s.Service.String() + ":" + strconv.Itoa(int(s.Port))
	}
	return TargetKey(d.Target) + "/" + strconv.Itoa(index)
}

// endpointKey is unique in a set: an address that another workload took over
// can be there twice for a while.
func endpointKey(e *mesh.Endpoint) string {
	return e.Addr.String() + "/" + string(e.Workload)
}

// EncodeTarget gives the message of a target.
func EncodeTarget(t mesh.Target) *gen.Target {
	return &gen.Target{Host: t.Host, Addr: t.Addr.AsSlice(), Port: uint32(t.Port)}
}

// DecodeTarget reads a target. Exactly one of host and address must be there.
func DecodeTarget(m *gen.Target) (mesh.Target, error) {
	var c checker
	t := c.target(m)
	return t, c.err
}

func (c *checker) target(m *gen.Target) mesh.Target {
	t := mesh.Target{
		Host: c.text("target host", m.GetHost(), maxName),
		Addr: c.addr("target address", m.GetAddr()),
		Port: c.port("target", m.GetPort()),
	}
	if (t.Host != "") == t.Addr.IsValid() {
		c.fail("target: want a host or an address")
	}
	return t
}

// EncodeVersion gives the message of a version.
func EncodeVersion(v mesh.Version) *gen.Version {
	return &gen.Version{Epoch: v.Epoch, Number: v.Number}
}

// DecodeVersion reads a version; nil is the zero Version.
func DecodeVersion(m *gen.Version) mesh.Version {
	return mesh.Version{Epoch: m.GetEpoch(), Number: m.GetNumber()}
}

func encodeAddrPort(a netip.AddrPort) *gen.AddrPort {
	if a == (netip.AddrPort{}) {
		return nil
	}
	return &gen.AddrPort{Addr: a.Addr().AsSlice(), Port: uint32(a.Port())}
}

func encodeService(s mesh.ServiceName) *gen.ServiceName {
	if s == (mesh.ServiceName{}) {
		return nil
	}
	return &gen.ServiceName{Namespace: s.Namespace, Name: s.Name}
}

func (c *checker) service(field string, m *gen.ServiceName) mesh.ServiceName {
	return mesh.ServiceName{Namespace: c.name(field, m.GetNamespace()), Name: c.name(field, m.GetName())}
}

// protocol reads a hint. One that a later release invented is no hint.
func protocol(p uint32) mesh.Protocol {
	if p > uint32(mesh.Opaque) {
		return mesh.Detect
	}
	return mesh.Protocol(p)
}
