package schema

import (
	"strings"
	"time"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
)

// HTTPRoute is a gateway.networking.k8s.io/v1 HTTPRoute whose parents are
// Services. As Gateway API says for such parents, hostnames mean nothing.
type HTTPRoute struct {
	Metadata `yaml:"metadata"`
	Spec     HTTPRouteSpec `yaml:"spec"`

	_ ignored `yaml:"apiVersion,kind,status"`
}

// HTTPRouteSpec says whose requests go where.
type HTTPRouteSpec struct {
	ParentRefs []ParentRef `yaml:"parentRefs"`
	Rules      []HTTPRule  `yaml:"rules"`

	_ ignored     `yaml:"hostnames"`
	_ unsupported `yaml:"useDefaultGateways"`
}

// ParentRef names a service whose requests the route takes.
type ParentRef struct {
	Group     *string `yaml:"group"`
	Kind      string  `yaml:"kind"`
	Namespace string  `yaml:"namespace"` // the route's when not given
	Name      string  `yaml:"name"`
	Port      *int32  `yaml:"port"` // every port when not given

	_ unsupported `yaml:"sectionName"`
}

// HTTPRule sends the requests that one of its matches takes to its backends.
type HTTPRule struct {
	Name        string       `yaml:"name"`
	Matches     []HTTPMatch  `yaml:"matches"`
	BackendRefs []BackendRef `yaml:"backendRefs"`
	Timeouts    Timeouts     `yaml:"timeouts"`

	_ unsupported `yaml:"filters,retry,sessionPersistence"`
}

// HTTPMatch holds when all of its parts hold.
type HTTPMatch struct {
	Path        *HTTPPath   `yaml:"path"`
	Headers     []HTTPValue `yaml:"headers"`
	QueryParams []HTTPValue `yaml:"queryParams"`
	Method      string      `yaml:"method"`
}

// HTTPPath is a condition on the path without its query.
type HTTPPath struct {
	Type  string  `yaml:"type"`  // PathPrefix when not given
	Value *string `yaml:"value"` // "/" when not given
}

// HTTPValue is a condition on one header or query parameter.
type HTTPValue struct {
	Type  string `yaml:"type"` // Exact when not given
	Name  string `yaml:"name"`
	Value string `yaml:"value"`
}

// BackendRef is a service that gets a share of the requests. One in another
// namespace needs no ReferenceGrant: the caller's own proxy calls it, with the
// caller's identity, and the backend's AccessPolicy decides as for any call.
type BackendRef struct {
	Group     string `yaml:"group"`
	Kind      string `yaml:"kind"`
	Namespace string `yaml:"namespace"` // the route's when not given
	Name      string `yaml:"name"`
	Port      *int32 `yaml:"port"`
	Weight    *int32 `yaml:"weight"` // 1 when not given

	_ unsupported `yaml:"filters"`
}

// Timeouts bound a request.
type Timeouts struct {
	Request string `yaml:"request"`

	_ unsupported `yaml:"backendRequest"`
}

// Change puts the route into the catalog.
func (r *HTTPRoute) Change() catalog.Change {
	out := catalog.Route{Key: catalog.Key{Namespace: r.Namespace, Name: r.Name}, Created: r.created}
	for _, p := range r.Spec.ParentRefs {
		parent := catalog.Parent{Service: mesh.ServiceName{Namespace: p.Namespace, Name: p.Name}}
		if p.Port != nil {
			parent.Port = uint16(*p.Port) // checked
		}
		out.Parents = append(out.Parents, parent)
	}
	for _, rule := range r.Spec.Rules {
		out.Rules = append(out.Rules, rule.convert())
	}
	return catalog.PutRoute{Route: out}
}

func (r *HTTPRule) convert() mesh.Rule {
	out := mesh.Rule{}
	if r.Timeouts.Request != "" {
		out.Timeout, _ = time.ParseDuration(r.Timeouts.Request)
	}
	for _, m := range r.Matches {
		out.Matches = append(out.Matches, m.convert())
	}
	for _, b := range r.BackendRefs {
		out.Backends = append(out.Backends, mesh.Backend{
			Service: mesh.ServiceName{Namespace: b.Namespace, Name: b.Name},
			Port:    uint16(*b.Port),   // checked
			Weight:  uint32(*b.Weight), // checked
			Set:     -1,
		})
	}
	return out
}

func (m *HTTPMatch) convert() mesh.Match {
	out := mesh.Match{Method: m.Method}
	if m.Path != nil && !(m.Path.Type == "PathPrefix" && *m.Path.Value == "/") {
		out.Path = mesh.PathMatch{Kind: matchKind(m.Path.Type), Value: *m.Path.Value}
	}
	for _, h := range m.Headers {
		out.Headers = append(out.Headers, mesh.ValueMatch{Name: strings.ToLower(h.Name), Kind: matchKind(h.Type), Value: h.Value})
	}
	for _, q := range m.QueryParams {
		out.Query = append(out.Query, mesh.ValueMatch{Name: q.Name, Kind: matchKind(q.Type), Value: q.Value})
	}
	return out
}

func matchKind(word string) mesh.MatchKind {
	switch word {
	case "Exact":
		return mesh.MatchExact
	case "PathPrefix":
		return mesh.MatchPrefix
	default:
		return mesh.MatchRegex
	}
}
