package schema

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
)

// Words of a Service.
const (
	typeExternalName = "ExternalName"
	trafficLocal     = "Local"
)

// Service is a v1 Service. Its selector selects nothing here: outside
// Kubernetes its endpoints are the workloads that registered it and those of
// its EndpointSlices.
type Service struct {
	Metadata `yaml:"metadata"`
	Spec     ServiceSpec `yaml:"spec"`

	_ ignored `yaml:"apiVersion,kind,status"`
}

// ServiceSpec is the part of a Service that says what clients call.
type ServiceSpec struct {
	Ports      []ServicePort `yaml:"ports"`
	ClusterIP  string        `yaml:"clusterIP"` // "None" is none
	ClusterIPs []string      `yaml:"clusterIPs"`
	Type       string        `yaml:"type"`
	// ExternalName is what the service stands for when it is of that type.
	ExternalName string `yaml:"externalName"`
	// InternalTrafficPolicy Local is for callers on the endpoint's node only.
	InternalTrafficPolicy string `yaml:"internalTrafficPolicy"`

	_ ignored `yaml:"selector,sessionAffinity,sessionAffinityConfig,ipFamilies,ipFamilyPolicy,externalTrafficPolicy,trafficDistribution,externalIPs,loadBalancerIP,loadBalancerClass,loadBalancerSourceRanges,allocateLoadBalancerNodePorts,healthCheckNodePort,publishNotReadyAddresses"`
}

// ServicePort is one port of a Service. Leno carries TCP; ports of other
// protocols are legal and not part of the mesh.
type ServicePort struct {
	Name        string `yaml:"name"`
	Protocol    string `yaml:"protocol"`
	AppProtocol string `yaml:"appProtocol"`
	Port        int32  `yaml:"port"`

	_ ignored `yaml:"targetPort,nodePort"`
}

func (s *Service) check(c *checker) {
	if s.Name != "" {
		c.label("metadata.name", s.Name)
	}
	s.Spec.Type = c.oneOf("spec.type", s.Spec.Type, "ClusterIP", "NodePort", "LoadBalancer", typeExternalName)
	if s.Spec.Type == typeExternalName {
		if !mesh.ValidName(s.alias()) {
			c.wrong("spec.externalName", "want a host name, got %q", s.Spec.ExternalName)
		}
		return
	}
	c.oneOf("spec.internalTrafficPolicy", s.Spec.InternalTrafficPolicy, "Cluster", trafficLocal)
	if len(s.Spec.Ports) == 0 {
		c.wrong("spec.ports", "is missing: name at least one port")
	}
	s.checkPorts(c)
	if s.Spec.ClusterIP != "" && s.Spec.ClusterIP != "None" {
		checkAddr(c, "spec.clusterIP", s.Spec.ClusterIP)
	}
	for i, a := range s.Spec.ClusterIPs {
		if a != "None" {
			checkAddr(c, at("spec.clusterIPs[%d]", i), a)
		}
	}
}

func (s *Service) checkPorts(c *checker) {
	type number struct {
		protocol string
		port     int32
	}
	names, numbers := map[string]bool{}, map[number]bool{}
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		field := at("spec.ports[%d]", i)
		p.Protocol = c.oneOf(field+".protocol", p.Protocol, "TCP", "UDP", "SCTP")
		c.port(field+".port", p.Port)
		switch n := (number{p.Protocol, p.Port}); {
		case p.Name == "" && len(s.Spec.Ports) > 1:
			c.wrong(field+".name", "is missing: with several ports each needs a name")
		case names[p.Name]:
			c.wrong(field+".name", "%q is the name of two ports", p.Name)
		case numbers[n]:
			c.wrong(field+".port", "%d is there twice", p.Port)
		default:
			names[p.Name], numbers[n] = true, true
		}
	}
}

// Change puts the service into the catalog.
func (s *Service) Change() catalog.Change {
	out := catalog.Service{Name: mesh.ServiceName{Namespace: s.Namespace, Name: s.Name}}
	if s.Spec.Type == typeExternalName {
		out.Alias = s.alias()
		return catalog.PutService{Service: out}
	}
	out.NodeLocal = s.Spec.InternalTrafficPolicy == trafficLocal
	for _, a := range append([]string{s.Spec.ClusterIP}, s.Spec.ClusterIPs...) {
		if addr, err := netip.ParseAddr(a); err == nil && !slices.Contains(out.Addrs, addr.Unmap()) {
			out.Addrs = append(out.Addrs, addr.Unmap())
		}
	}
	for _, p := range s.Spec.Ports {
		if p.Protocol == "TCP" {
			out.Ports = append(out.Ports, catalog.ServicePort{
				Name:     p.Name,
				Port:     uint16(p.Port), // checked
				Protocol: protocolOf(p.AppProtocol, p.Name),
			})
		}
	}
	return catalog.PutService{Service: out}
}

func (s *Service) alias() string {
	return strings.ToLower(strings.TrimSuffix(s.Spec.ExternalName, "."))
}

func checkAddr(c *checker, field, s string) {
	if a, err := netip.ParseAddr(s); err != nil || a.Zone() != "" {
		c.wrong(field, "want an IP address, got %q", s)
	}
}
