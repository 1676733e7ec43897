package wire

import (
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire/gen"
)

// marshal gives the same bytes for the same message, within one release.
func marshal(m proto.Message) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

// EncodeInbound gives the body of a proxy's own snapshot.
func EncodeInbound(in *mesh.Inbound) ([]byte, error) {
	m := &gen.Inbound{
		Workload:      string(in.Workload),
		Identity:      string(in.Identity),
		Name:          in.Name,
		Namespace:     in.Namespace,
		Zone:          in.Zone,
		Node:          in.Node,
		ClusterDomain: in.ClusterDomain,
	}
	for _, p := range in.Networks {
		m.Networks = append(m.Networks, &gen.Prefix{Addr: p.Addr().AsSlice(), Bits: uint32(p.Bits())})
	}
	for _, p := range in.Ports {
		m.Ports = append(m.Ports, encodePort(p))
	}
	if in.Others != nil {
		m.Others = encodePort(*in.Others)
	}
	body, err := marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encoding the inbound of %s: %w", in.Workload, err)
	}
	return body, nil
}

func encodePort(p mesh.Port) *gen.Port {
	m := &gen.Port{Number: uint32(p.Number), Target: encodeAddrPort(p.Target), Protocol: uint32(p.Protocol)}
	for _, s := range p.Services {
		m.Services = append(m.Services, &gen.ServiceName{Namespace: s.Namespace, Name: s.Name})
	}
	for _, r := range p.Access.Policies {
		rule := &gen.AccessRule{Name: r.Name, Audit: r.Audit}
		for _, id := range r.Identities {
			rule.Identities = append(rule.Identities, string(id))
		}
		m.Policies = append(m.Policies, rule)
	}
	return m
}

// EncodeBundle gives the body of the trust anchors.
func EncodeBundle(b mesh.Bundle) ([]byte, error) {
	body, err := marshal(BundleMessage(b))
	if err != nil {
		return nil, fmt.Errorf("encoding the bundle: %w", err)
	}
	return body, nil
}

// BundleMessage gives the message of the trust anchors.
func BundleMessage(b mesh.Bundle) *gen.Bundle {
	return &gen.Bundle{TrustDomain: string(b.TrustDomain), Anchors: b.Anchors}
}

// EncodeDestination gives the body of a destination, and the key of each of
// its sets. The endpoints are not in the body; they travel in the sets.
func EncodeDestination(d *mesh.Destination) (body []byte, keys []string, err error) {
	m := &gen.Destination{
		Target:     EncodeTarget(d.Target),
		Kind:       uint32(d.Kind),
		Service:    encodeService(d.Service),
		Port:       uint32(d.Port),
		Protocol:   uint32(d.Protocol),
		DefaultSet: uint32(d.Default + 1),
	}
	for i, s := range d.Sets {
		key := SetKey(d, i)
		keys = append(keys, key)
		m.Sets = append(m.Sets, &gen.SetReference{Key: key, Service: encodeService(s.Service), Port: uint32(s.Port)})
	}
	for _, r := range d.Route.Rules {
		m.Rules = append(m.Rules, encodeRule(r))
	}
	body, err = marshal(m)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding destination %s: %w", d.Target, err)
	}
	return body, keys, nil
}

func encodeRule(r mesh.Rule) *gen.Rule {
	m := &gen.Rule{Name: r.Name, TimeoutNs: int64(r.Timeout)}
	for _, b := range r.Backends {
		m.Backends = append(m.Backends, &gen.Backend{
			Service: encodeService(b.Service), Port: uint32(b.Port), Weight: b.Weight, Set: uint32(b.Set + 1),
		})
	}
	for _, match := range r.Matches {
		m.Matches = append(m.Matches, &gen.Match{
			PathKind: uint32(match.Path.Kind),
			Path:     match.Path.Value,
			Method:   match.Method,
			Headers:  encodeValues(match.Headers),
			Query:    encodeValues(match.Query),
		})
	}
	return m
}

func encodeValues(values []mesh.ValueMatch) []*gen.ValueMatch {
	var out []*gen.ValueMatch
	for _, v := range values {
		out = append(out, &gen.ValueMatch{Name: v.Name, Kind: uint32(v.Kind), Value: v.Value})
	}
	return out
}

// EncodeRegistration gives the message of a registration.
func EncodeRegistration(r *mesh.Registration) *gen.Registration {
	if r == nil {
		return nil
	}
	m := &gen.Registration{
		Name:      r.Name,
		Addr:      r.Addr.AsSlice(),
		ProxyPort: uint32(r.ProxyPort),
		AdminPort: uint32(r.AdminPort),
		Zone:      r.Zone,
		Labels:    r.Labels,
	}
	for _, s := range r.Services {
		m.Services = append(m.Services, &gen.RegisteredPort{
			Service: s.Service, Port: uint32(s.Port), Target: encodeAddrPort(s.Target), Protocol: uint32(s.Protocol), Starting: s.Starting,
		})
	}
	return m
}

func encodeEndpoint(e *mesh.Endpoint) ([]byte, error) {
	return marshal(&gen.Endpoint{
		Addr:     encodeAddrPort(e.Addr),
		Proxy:    encodeAddrPort(e.Proxy),
		Identity: string(e.Identity),
		Workload: string(e.Workload),
		Name:     e.Name,
		Zone:     e.Zone,
		State:    uint32(e.State),
		Near:     e.Near,
		Only:     e.Only,
	})
}
