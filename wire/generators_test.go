package wire

import (
	"net/netip"
	"time"

	"pgregory.net/rapid"

	"github.com/leno-mesh/leno/mesh"
)

// Generators of mesh values. They reach every field; they need not be
// sensible, only possible.

func label(t *rapid.T) string { return rapid.StringMatching(`[a-z][a-z0-9-]{0,8}`).Draw(t, "label") }

func port(t *rapid.T) uint16 { return rapid.Uint16().Draw(t, "port") }

func addr(t *rapid.T) netip.Addr {
	if rapid.Bool().Draw(t, "v6") {
		return netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "addr")))
	}
	return netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "addr")))
}

func addrPort(t *rapid.T) netip.AddrPort {
	if rapid.IntRange(0, 5).Draw(t, "none") == 0 {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr(t), port(t))
}

func slice[T any](t *rapid.T, limit int, one func(*rapid.T) T) []T {
	n := rapid.IntRange(0, limit).Draw(t, "n")
	var out []T
	for range n {
		out = append(out, one(t))
	}
	return out
}

func serviceName(t *rapid.T) mesh.ServiceName {
	return mesh.ServiceName{Namespace: label(t), Name: label(t)}
}

func identity(t *rapid.T) mesh.Identity { return mesh.NewIdentity("mesh", label(t), label(t)) }

func protocolHint(t *rapid.T) mesh.Protocol {
	return mesh.Protocol(rapid.IntRange(0, int(mesh.Opaque)).Draw(t, "protocol"))
}

func endpoint(t *rapid.T) mesh.Endpoint {
	return mesh.Endpoint{
		Addr:     addrPort(t),
		Proxy:    addrPort(t),
		Identity: identity(t),
		Workload: mesh.WorkloadID(label(t)),
		Name:     label(t),
		Zone:     label(t),
		State:    mesh.EndpointState(rapid.IntRange(0, 3).Draw(t, "state")),
		Near:     label(t),
		Only:     rapid.Bool().Draw(t, "only"),
	}
}

func target(t *rapid.T) mesh.Target {
	if rapid.Bool().Draw(t, "by name") {
		return mesh.Target{Host: label(t), Port: port(t)}
	}
	return mesh.Target{Addr: addr(t), Port: port(t)}
}

func inbound(t *rapid.T) *mesh.Inbound {
	return &mesh.Inbound{
		Workload: mesh.WorkloadID(label(t)), Identity: identity(t), Name: label(t), Namespace: label(t),
		Zone: label(t), Node: label(t), ClusterDomain: label(t),
		Networks: slice(t, 3, func(t *rapid.T) netip.Prefix {
			a := addr(t)
			return netip.PrefixFrom(a, rapid.IntRange(0, a.BitLen()).Draw(t, "bits"))
		}),
		Ports:  slice(t, 3, inboundPort),
		Others: rapid.Ptr(rapid.Custom(inboundPort), true).Draw(t, "others"),
	}
}

func inboundPort(t *rapid.T) mesh.Port {
	return mesh.Port{
		Number: port(t), Target: addrPort(t), Protocol: protocolHint(t), Services: slice(t, 2, serviceName),
		Access: mesh.Access{Policies: slice(t, 2, func(t *rapid.T) mesh.AccessRule {
			return mesh.AccessRule{
				Name: label(t), Audit: rapid.Bool().Draw(t, "audit"), Identities: slice(t, 2, identity),
			}
		})},
	}
}

func destination(t *rapid.T) *mesh.Destination {
	d := &mesh.Destination{
		Target: target(t), Kind: mesh.DestinationKind(rapid.IntRange(0, 2).Draw(t, "kind")),
		Service: serviceName(t), Port: port(t), Protocol: protocolHint(t),
		Sets: slice(t, 3, func(t *rapid.T) mesh.EndpointSet {
			return mesh.EndpointSet{Service: serviceName(t), Port: port(t)}
		}),
	}
	index := func() int { return rapid.IntRange(-1, len(d.Sets)-1).Draw(t, "set") }
	d.Default = index()
	d.Route.Rules = slice(t, 3, func(t *rapid.T) mesh.Rule {
		return mesh.Rule{
			Name:    label(t),
			Timeout: time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(t, "timeout")),
			Backends: slice(t, 2, func(t *rapid.T) mesh.Backend {
				return mesh.Backend{
					Service: serviceName(t), Port: port(t), Weight: rapid.Uint32().Draw(t, "weight"), Set: index(),
				}
			}),
			Matches: slice(t, 2, match),
		}
	})
	return d
}

func match(t *rapid.T) mesh.Match {
	kind := func() mesh.MatchKind { return mesh.MatchKind(rapid.IntRange(0, 3).Draw(t, "match")) }
	value := func(t *rapid.T) mesh.ValueMatch {
		return mesh.ValueMatch{Name: label(t), Kind: kind(), Value: rapid.String().Draw(t, "value")}
	}
	return mesh.Match{
		Path:   mesh.PathMatch{Kind: kind(), Value: rapid.String().Draw(t, "path")},
		Method: label(t), Headers: slice(t, 2, value), Query: slice(t, 2, value),
	}
}

func registration(t *rapid.T) *mesh.Registration {
	r := &mesh.Registration{
		Name: label(t), Addr: addr(t), ProxyPort: port(t), AdminPort: port(t), Zone: label(t),
		Services: slice(t, 3, func(t *rapid.T) mesh.RegisteredPort {
			return mesh.RegisteredPort{Service: label(t), Port: port(t), Target: addrPort(t), Protocol: protocolHint(t), Starting: rapid.Bool().Draw(t, "starting")}
		}),
	}
	for range rapid.IntRange(0, 3).Draw(t, "labels") {
		if r.Labels == nil {
			r.Labels = map[string]string{}
		}
		r.Labels[label(t)] = label(t)
	}
	return r
}
