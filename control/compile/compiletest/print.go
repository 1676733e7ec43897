// Package compiletest prints what compile makes, for tests whose scripts show
// it.
package compiletest

import (
	"fmt"
	"strings"

	"github.com/leno-mesh/leno/mesh"
)

// Inbound prints a workload's own snapshot.
func Inbound(in *mesh.Inbound) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s name=%s namespace=%s zone=%s node=%s domain=%s networks=%v\n", in.Workload, in.Identity, in.Name, in.Namespace, in.Zone, in.Node, in.ClusterDomain, in.Networks)
	for _, p := range in.Ports {
		fmt.Fprintf(&b, "  port %d -> %s %s for %v\n", p.Number, p.Target, p.Protocol, p.Services)
		printAccess(&b, p.Access)
	}
	if in.Others != nil {
		fmt.Fprintf(&b, "  other ports -> %s\n", in.Others.Target.Addr())
		printAccess(&b, in.Others.Access)
	}
	return b.String()
}

func printAccess(b *strings.Builder, a mesh.Access) {
	for _, r := range a.Policies {
		fmt.Fprintf(b, "    policy %s audit=%v allows %v\n", r.Name, r.Audit, r.Identities)
	}
}

// Destination prints how a target is reached.
func Destination(d *mesh.Destination) string {
	var b strings.Builder
	kind := [...]string{"unknown", "service", "workload"}[d.Kind]
	fmt.Fprintf(&b, "%s is %s %s", d.Target, kind, d.Service)
	if d.Kind != mesh.DestinationUnknown {
		fmt.Fprintf(&b, " port %d %s default=%d", d.Port, d.Protocol, d.Default)
	}
	b.WriteString("\n")
	for _, r := range d.Route.Rules {
		fmt.Fprintf(&b, "  rule %s timeout=%s\n", r.Name, r.Timeout)
		for _, m := range r.Matches {
			fmt.Fprintf(&b, "    when %s\n", printMatch(m))
		}
		for _, be := range r.Backends {
			fmt.Fprintf(&b, "    to %s:%d weight=%d set=%d\n", be.Service, be.Port, be.Weight, be.Set)
		}
	}
	for i, s := range d.Sets {
		fmt.Fprintf(&b, "  set %d: %s:%d\n", i, s.Service, s.Port)
		for _, e := range s.Endpoints {
			fmt.Fprintf(&b, "    %s %s", e.Addr, e.State)
			if e.Meshed() {
				fmt.Fprintf(&b, " proxy=%s workload=%s identity=%s", e.Proxy, e.Workload, e.Identity)
			}
			fmt.Fprintf(&b, " name=%s zone=%s", e.Name, e.Zone)
			if e.Near != "" {
				fmt.Fprintf(&b, " near=%q only=%v", e.Near, e.Only)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

func printMatch(m mesh.Match) string {
	kinds := [...]string{"any", "=", "prefix", "~"}
	var parts []string
	if m.Path.Kind != mesh.MatchAny {
		parts = append(parts, "path "+kinds[m.Path.Kind]+" "+m.Path.Value)
	}
	if m.Method != "" {
		parts = append(parts, "method "+m.Method)
	}
	for _, h := range m.Headers {
		parts = append(parts, "header "+h.Name+" "+kinds[h.Kind]+" "+h.Value)
	}
	for _, q := range m.Query {
		parts = append(parts, "query "+q.Name+" "+kinds[q.Kind]+" "+q.Value)
	}
	if len(parts) == 0 {
		return "anything"
	}
	return strings.Join(parts, ", ")
}
