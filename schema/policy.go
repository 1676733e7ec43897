package schema

import (
	"strings"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
)

// AccessPolicy is a leno.dev/v1alpha1 AccessPolicy: which identities may call
// a service or some workloads. A port that no policy selects may be called by
// everybody.
//
//	apiVersion: leno.dev/v1alpha1
//	kind: AccessPolicy
//	metadata: {name: payments, namespace: shop}
//	spec:
//	  service: payments    # or selector: {matchLabels: {app: payments}}
//	  ports: [8080]        # every port when not given
//	  mode: Enforce        # or Audit: count and log, deny nothing
//	  allow:
//	    identities: [shop/cart, shop-admin/*, "spiffe://other/ns/a/sa/b"]
type AccessPolicy struct {
	Metadata `yaml:"metadata"`
	Spec     AccessSpec `yaml:"spec"`

	_ ignored `yaml:"apiVersion,kind,status"`
}

// AccessSpec says who may call what.
type AccessSpec struct {
	Service  string    `yaml:"service"` // in the policy's namespace
	Selector *Selector `yaml:"selector"`
	// Ports are the service's with Service, the workload's own with Selector.
	Ports []int32 `yaml:"ports"`
	Mode  string  `yaml:"mode"` // Enforce when not given
	Allow *Allow  `yaml:"allow"`
}

// Selector selects workloads of the policy's namespace by their labels, all
// of them when it is empty.
type Selector struct {
	MatchLabels map[string]string `yaml:"matchLabels"`

	_ unsupported `yaml:"matchExpressions"`
}

// Allow lists who may call. An empty list is nobody.
type Allow struct {
	// Identities are SPIFFE IDs, short forms namespace/service-account, either
	// of them with * as the account, or * alone for every workload of the mesh.
	Identities []string `yaml:"identities"`
}

func (p *AccessPolicy) check(c *checker) {
	switch {
	case p.Spec.Service == "" && p.Spec.Selector == nil:
		c.wrong("spec", "name a service, or a selector ({} selects the whole namespace)")
	case p.Spec.Service != "" && p.Spec.Selector != nil:
		c.wrong("spec.selector", "stands beside spec.service: use one of them")
	case p.Spec.Service != "":
		c.label("spec.service", p.Spec.Service)
	}
	for i, n := range p.Spec.Ports {
		c.port(at("spec.ports[%d]", i), n)
	}
	p.Spec.Mode = c.oneOf("spec.mode", p.Spec.Mode, "Enforce", "Audit")
	if p.Spec.Allow == nil {
		c.wrong("spec.allow", "is missing: list identities, or write {identities: []} to let nobody in")
		return
	}
	c.atMost("spec.allow.identities", len(p.Spec.Allow.Identities), 1000)
	for i, s := range p.Spec.Allow.Identities {
		if _, ok := callerOf(s); !ok {
			c.wrong(at("spec.allow.identities[%d]", i), "want namespace/service-account, spiffe://<trust-domain>/ns/<namespace>/sa/<service-account> or *, got %q", s)
		}
	}
}

// Change puts the policy into the catalog.
func (p *AccessPolicy) Change() catalog.Change {
	out := catalog.Policy{
		Key:   catalog.Key{Namespace: p.Namespace, Name: p.Name},
		Audit: p.Spec.Mode == "Audit",
	}
	if p.Spec.Service != "" {
		out.Services = []mesh.ServiceName{{Namespace: p.Namespace, Name: p.Spec.Service}}
	} else {
		out.Selector = p.Spec.Selector.MatchLabels
	}
	for _, n := range p.Spec.Ports {
		out.Ports = append(out.Ports, uint16(n)) // checked
	}
	for _, s := range p.Spec.Allow.Identities {
		caller, _ := callerOf(s)
		out.Allow = append(out.Allow, caller)
	}
	return catalog.PutPolicy{Policy: out}
}

// callerOf reads one entry of the list.
func callerOf(s string) (catalog.Caller, bool) {
	if s == "*" {
		return catalog.Caller{Any: true}, true
	}
	if strings.HasPrefix(s, "spiffe://") {
		// "*" is no name: put one in its place to look at the rest.
		whole := s
		if head, ok := strings.CutSuffix(s, "/*"); ok {
			whole = head + "/any"
		}
		_, err := mesh.ParseIdentity(whole)
		return catalog.Caller{Identity: mesh.Identity(s)}, err == nil
	}
	namespace, account, ok := strings.Cut(s, "/")
	if !ok || !mesh.ValidName(namespace) || account != "*" && !mesh.ValidName(account) {
		return catalog.Caller{}, false
	}
	return catalog.Caller{Namespace: namespace, ServiceAccount: account}, true
}
