package wire

import (
	"fmt"
	"net/netip"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire/gen"
)

// DecodeInbound reads the body of a proxy's own snapshot.
func DecodeInbound(body []byte) (*mesh.Inbound, error) {
	var m gen.Inbound
	if err := proto.Unmarshal(body, &m); err != nil {
		return nil, fmt.Errorf("inbound: %w", err)
	}
	var c checker
	in := &mesh.Inbound{
		Workload:      mesh.WorkloadID(c.name("workload", m.GetWorkload())),
		Identity:      mesh.Identity(c.text("identity", m.GetIdentity(), maxText)),
		Name:          c.name("name", m.GetName()),
		Namespace:     c.name("namespace", m.GetNamespace()),
		Zone:          c.name("zone", m.GetZone()),
		Node:          c.name("node", m.GetNode()),
		ClusterDomain: c.name("cluster domain", m.GetClusterDomain()),
	}
	if c.count("networks", len(m.GetNetworks()), maxNetworks) {
		for _, p := range m.GetNetworks() {
			in.Networks = append(in.Networks, c.prefix(p))
		}
	}
	if c.count("ports", len(m.GetPorts()), maxPorts) {
		for _, p := range m.GetPorts() {
			in.Ports = append(in.Ports, c.meshPort(p))
		}
	}
	if m.GetOthers() != nil {
		others := c.meshPort(m.GetOthers())
		in.Others = &others
	}
	if c.err != nil {
		return nil, fmt.Errorf("inbound: %w", c.err)
	}
	return in, nil
}

func (c *checker) prefix(m *gen.Prefix) netip.Prefix {
	p := netip.PrefixFrom(c.addr("network", m.GetAddr()), int(min(m.GetBits(), 1<<10)))
	if !p.IsValid() {
		c.fail("network: not a prefix")
	}
	return p
}

func (c *checker) meshPort(m *gen.Port) mesh.Port {
	p := mesh.Port{
		Number:   c.port("port", m.GetNumber()),
		Target:   c.addrPort("port target", m.GetTarget()),
		Protocol: protocol(m.GetProtocol()),
	}
	if c.count("services of a port", len(m.GetServices()), maxServices) {
		for _, s := range m.GetServices() {
			p.Services = append(p.Services, c.service("service", s))
		}
	}
	if c.count("policies of a port", len(m.GetPolicies()), maxPolicies) {
		for _, r := range m.GetPolicies() {
			p.Access.Policies = append(p.Access.Policies, c.accessRule(r))
		}
	}
	return p
}

func (c *checker) accessRule(m *gen.AccessRule) mesh.AccessRule {
	r := mesh.AccessRule{Name: c.name("policy", m.GetName()), Audit: m.GetAudit()}
	if c.count("identities of a policy", len(m.GetIdentities()), maxIdentities) {
		for _, id := range m.GetIdentities() {
			r.Identities = append(r.Identities, mesh.Identity(c.text("identity", id, maxText)))
		}
	}
	return r
}

// DecodeBundle reads the body of the trust anchors.
func DecodeBundle(body []byte) (mesh.Bundle, error) {
	var m gen.Bundle
	if err := proto.Unmarshal(body, &m); err != nil {
		return mesh.Bundle{}, fmt.Errorf("bundle: %w", err)
	}
	return BundleFromMessage(&m)
}

// BundleFromMessage checks sizes; it does not parse the certificates.
func BundleFromMessage(m *gen.Bundle) (mesh.Bundle, error) {
	var c checker
	b := mesh.Bundle{TrustDomain: mesh.TrustDomain(c.name("trust domain", m.GetTrustDomain()))}
	if c.count("anchors", len(m.GetAnchors()), maxAnchors) {
		for _, a := range m.GetAnchors() {
			c.count("bytes of an anchor", len(a), maxAnchor)
			b.Anchors = append(b.Anchors, a)
		}
	}
	if c.err != nil {
		return mesh.Bundle{}, fmt.Errorf("bundle: %w", c.err)
	}
	return b, nil
}

// DecodeDestination reads the body of a destination. Its sets have names but
// no endpoints yet: those of Sets[i] travel under keys[i].
func DecodeDestination(body []byte) (d *mesh.Destination, keys []string, err error) {
	var m gen.Destination
	if err := proto.Unmarshal(body, &m); err != nil {
		return nil, nil, fmt.Errorf("destination: %w", err)
	}
	var c checker
	d = &mesh.Destination{
		Target:   c.target(m.GetTarget()),
		Kind:     mesh.DestinationKind(m.GetKind()),
		Service:  c.service("service", m.GetService()),
		Port:     c.port("service", m.GetPort()),
		Protocol: protocol(m.GetProtocol()),
	}
	if m.GetKind() > uint32(mesh.DestinationWorkload) {
		c.fail("kind %d is not known to this release", m.GetKind())
	}
	keys = c.setReferences(d, m.GetSets())
	d.Default = c.index("default set", m.GetDefaultSet(), len(keys))
	if c.count("rules", len(m.GetRules()), maxRules) {
		for _, r := range m.GetRules() {
			d.Route.Rules = append(d.Route.Rules, c.rule(r, len(keys)))
		}
	}
	if c.err != nil {
		return nil, nil, fmt.Errorf("destination: %w", c.err)
	}
	return d, keys, nil
}

func (c *checker) setReferences(d *mesh.Destination, refs []*gen.SetReference) (keys []string) {
	if !c.count("sets", len(refs), maxSets) {
		return nil
	}
	for _, r := range refs {
		keys = append(keys, c.text("set key", r.GetKey(), maxText))
		d.Sets = append(d.Sets, mesh.EndpointSet{Service: c.service("set", r.GetService()), Port: c.port("set", r.GetPort())})
	}
	return keys
}

// index reads an index plus one; 0 is none, which is -1 in mesh.
func (c *checker) index(field string, plusOne uint32, n int) int {
	if int64(plusOne) > int64(n) {
		c.fail("%s: index %d of %d", field, plusOne, n)
		return -1
	}
	return int(plusOne) - 1
}

func (c *checker) rule(m *gen.Rule, sets int) mesh.Rule {
	r := mesh.Rule{Name: c.text("rule", m.GetName(), maxText), Timeout: time.Duration(m.GetTimeoutNs())}
	if r.Timeout < 0 {
		c.fail("rule %s: negative timeout", r.Name)
	}
	if c.count("backends of a rule", len(m.GetBackends()), maxBackends) {
		for _, b := range m.GetBackends() {
			r.Backends = append(r.Backends, mesh.Backend{
				Service: c.service("backend", b.GetService()),
				Port:    c.port("backend", b.GetPort()),
				Weight:  b.GetWeight(),
				Set:     c.index("backend", b.GetSet(), sets),
			})
		}
	}
	if c.count("matches of a rule", len(m.GetMatches()), maxMatches) {
		for _, match := range m.GetMatches() {
			r.Matches = append(r.Matches, c.match(match))
		}
	}
	return r
}

func (c *checker) match(m *gen.Match) mesh.Match {
	return mesh.Match{
		Path:    mesh.PathMatch{Kind: c.matchKind(m.GetPathKind()), Value: c.text("path", m.GetPath(), maxText)},
		Method:  c.name("method", m.GetMethod()),
		Headers: c.values("header", m.GetHeaders()),
		Query:   c.values("query", m.GetQuery()),
	}
}

func (c *checker) values(field string, values []*gen.ValueMatch) (out []mesh.ValueMatch) {
	if !c.count(field, len(values), maxConditions) {
		return nil
	}
	for _, v := range values {
		out = append(out, mesh.ValueMatch{
			Name:  c.name(field, v.GetName()),
			Kind:  c.matchKind(v.GetKind()),
			Value: c.text(field, v.GetValue(), maxText),
		})
	}
	return out
}

// matchKind refuses what it does not know: a condition that is left out would
// match too much.
func (c *checker) matchKind(k uint32) mesh.MatchKind {
	if k > uint32(mesh.MatchRegex) {
		c.fail("match kind %d is not known to this release", k)
	}
	return mesh.MatchKind(k)
}
