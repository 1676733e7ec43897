package kube

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/schema"
)

// serviceChange gives what a Service brings. The API server has checked it, so
// what it means is all that schema is asked.
func serviceChange(s *corev1.Service) catalog.Change {
	out := schema.Service{
		Metadata: schema.Metadata{Name: s.Name, Namespace: s.Namespace},
		Spec: schema.ServiceSpec{
			ClusterIP: s.Spec.ClusterIP, ClusterIPs: s.Spec.ClusterIPs,
			Type: string(s.Spec.Type), ExternalName: s.Spec.ExternalName,
		},
	}
	if p := s.Spec.InternalTrafficPolicy; p != nil {
		out.Spec.InternalTrafficPolicy = string(*p)
	}
	for _, p := range s.Spec.Ports {
		out.Spec.Ports = append(out.Spec.Ports, schema.ServicePort{
			Name: p.Name, Protocol: string(p.Protocol), AppProtocol: deref(p.AppProtocol), Port: p.Port,
		})
	}
	return out.Change()
}

// sliceChange gives what an EndpointSlice brings; nil for one that is of no
// Service, or that lists names and not addresses, which Kubernetes itself does
// not use.
func sliceChange(s *discoveryv1.EndpointSlice) catalog.Change {
	if s.Labels[discoveryv1.LabelServiceName] == "" || s.AddressType == discoveryv1.AddressTypeFQDN {
		return nil
	}
	out := schema.EndpointSlice{
		Metadata:    schema.Metadata{Name: s.Name, Namespace: s.Namespace, Labels: s.Labels},
		AddressType: string(s.AddressType),
	}
	for _, p := range s.Ports {
		if p.Port == nil { // every port, which is for other users of slices
			continue
		}
		protocol := string(corev1.ProtocolTCP)
		if p.Protocol != nil {
			protocol = string(*p.Protocol)
		}
		out.Ports = append(out.Ports, schema.SlicePort{
			Name: deref(p.Name), Protocol: protocol, AppProtocol: deref(p.AppProtocol), Port: *p.Port,
		})
	}
	for i := range s.Endpoints {
		if e := &s.Endpoints[i]; len(e.Addresses) > 0 {
			out.Endpoints = append(out.Endpoints, endpoint(e))
		}
	}
	return out.Change()
}

func endpoint(e *discoveryv1.Endpoint) schema.Endpoint {
	out := schema.Endpoint{
		Addresses: e.Addresses, Hostname: deref(e.Hostname), Zone: deref(e.Zone), NodeName: deref(e.NodeName),
		Conditions: schema.Conditions{
			Ready: e.Conditions.Ready, Serving: e.Conditions.Serving, Terminating: e.Conditions.Terminating,
		},
	}
	if h := e.Hints; h != nil {
		for _, z := range h.ForZones {
			out.Hints.ForZones = append(out.Hints.ForZones, schema.PlaceHint{Name: z.Name})
		}
		for _, n := range h.ForNodes {
			out.Hints.ForNodes = append(out.Hints.ForNodes, schema.PlaceHint{Name: n.Name})
		}
	}
	if e.TargetRef != nil && e.TargetRef.Kind == "Pod" {
		out.TargetRef.Name = e.TargetRef.Name
	}
	return out
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
