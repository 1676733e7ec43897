package schema

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
)

const serviceNameLabel = "kubernetes.io/service-name"

// EndpointSlice is a discovery.k8s.io/v1 EndpointSlice. Its service is named
// by the label kubernetes.io/service-name.
type EndpointSlice struct {
	Metadata    `yaml:"metadata"`
	AddressType string      `yaml:"addressType"`
	Endpoints   []Endpoint  `yaml:"endpoints"`
	Ports       []SlicePort `yaml:"ports"`

	_ ignored `yaml:"apiVersion,kind"`
}

// Endpoint is one endpoint of a slice. All its addresses are the same to
// Kubernetes; the first one is used.
type Endpoint struct {
	Addresses  []string   `yaml:"addresses"`
	Conditions Conditions `yaml:"conditions"`
	Hostname   string     `yaml:"hostname"`
	Zone       string     `yaml:"zone"`
	NodeName   string     `yaml:"nodeName"`
	TargetRef  TargetRef  `yaml:"targetRef"`
	Hints      Hints      `yaml:"hints"`

	_ ignored `yaml:"deprecatedTopology"`
}

// Hints name the places whose callers an endpoint is meant for.
type Hints struct {
	ForZones []PlaceHint `yaml:"forZones"`
	ForNodes []PlaceHint `yaml:"forNodes"`
}

// PlaceHint is a zone or a node.
type PlaceHint struct {
	Name string `yaml:"name"`
}

// Conditions say whether an endpoint takes requests. What is not given is as
// for a healthy endpoint.
type Conditions struct {
	Ready       *bool `yaml:"ready"`
	Serving     *bool `yaml:"serving"`
	Terminating *bool `yaml:"terminating"`
}

// TargetRef names the pod behind an endpoint.
type TargetRef struct {
	Name string `yaml:"name"`

	_ ignored `yaml:"kind,namespace,uid,apiVersion,resourceVersion,fieldPath"`
}

// SlicePort is the target port of the service port of that name.
type SlicePort struct {
	Name        string `yaml:"name"`
	Protocol    string `yaml:"protocol"`
	AppProtocol string `yaml:"appProtocol"`
	Port        int32  `yaml:"port"`
}

func (s *EndpointSlice) check(c *checker) {
	if s.Labels[serviceNameLabel] == "" {
		c.wrong("metadata.labels", "no label %s: it says whose endpoints these are", serviceNameLabel)
	} else {
		c.label("metadata.labels", s.Labels[serviceNameLabel])
	}
	switch s.AddressType {
	case "IPv4", "IPv6":
	case "FQDN":
		c.wrong("addressType", "FQDN is not supported by Leno yet: use addresses")
	default:
		c.wrong("addressType", "want IPv4 or IPv6, got %q", s.AddressType)
	}
	c.atMost("endpoints", len(s.Endpoints), 1000)
	c.atMost("ports", len(s.Ports), 100)
	for i, e := range s.Endpoints {
		s.checkEndpoint(c, at("endpoints[%d]", i), e)
	}
	names := map[string]bool{}
	for i := range s.Ports {
		p, field := &s.Ports[i], at("ports[%d]", i)
		p.Protocol = c.oneOf(field+".protocol", p.Protocol, "TCP", "UDP", "SCTP")
		c.port(field+".port", p.Port)
		if names[p.Name] {
			c.wrong(field+".name", "%q is the name of two ports", p.Name)
		}
		names[p.Name] = true
	}
}

func (s *EndpointSlice) checkEndpoint(c *checker, field string, e Endpoint) {
	if len(e.Addresses) == 0 {
		c.wrong(field+".addresses", "is missing: name the endpoint's address")
	}
	for i, a := range e.Addresses {
		field := at("%s.addresses[%d]", field, i)
		addr, err := netip.ParseAddr(a)
		switch {
		case err != nil || addr.Zone() != "":
			c.wrong(field, "want an IP address, got %q", a)
		case addr.Is4() != (s.AddressType == "IPv4"):
			c.wrong(field, "%s is not of type %s", a, s.AddressType)
		}
	}
}

// Change puts the slice into the catalog. Endpoints that serve nobody are
// unready; those that end but still serve are draining.
func (s *EndpointSlice) Change() catalog.Change {
	out := catalog.EndpointSlice{
		Key:     catalog.Key{Namespace: s.Namespace, Name: s.Name},
		Service: mesh.ServiceName{Namespace: s.Namespace, Name: s.Labels[serviceNameLabel]},
	}
	for _, p := range s.Ports {
		if p.Protocol == "TCP" {
			out.Ports = append(out.Ports, catalog.SlicePort{
				Name:     p.Name,
				Port:     uint16(p.Port), // checked
				Protocol: protocolOf(p.AppProtocol, p.Name),
			})
		}
	}
	for _, e := range s.Endpoints {
		state, serves := e.Conditions.state()
		addr, err := netip.ParseAddr(e.Addresses[0])
		if err != nil {
			continue
		}
		out.Endpoints = append(out.Endpoints, catalog.SliceEndpoint{
			Addr:    addr.Unmap(),
			Name:    cmp.Or(e.TargetRef.Name, e.Hostname),
			Zone:    e.Zone,
			State:   state,
			Near:    e.Hints.near(),
			Node:    e.NodeName,
			Unready: !serves,
		})
	}
	return catalog.PutEndpointSlice{Slice: out}
}

// near writes the hints as the words of mesh.Endpoint.
func (h Hints) near() string {
	var words []string
	for _, n := range h.ForNodes {
		words = append(words, mesh.NearNode(n.Name))
	}
	for _, z := range h.ForZones {
		words = append(words, mesh.NearZone(z.Name))
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

func (c Conditions) state() (state mesh.EndpointState, serves bool) {
	ready := c.Ready == nil || *c.Ready
	serving := ready
	if c.Serving != nil {
		serving = *c.Serving
	}
	// Of a service that publishes addresses that are not ready
	// (publishNotReadyAddresses), Kubernetes calls even those ready that end.
	if c.Terminating != nil && *c.Terminating && (c.Ready == nil || !ready) {
		return mesh.Draining, serving
	}
	return mesh.Ready, ready
}
