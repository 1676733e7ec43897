package compile

import (
	"slices"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
)

// access gathers the policies of one port of a workload. A policy on a
// service holds for the whole port, also for callers who came by another
// service that leads there: the inbound side cannot know which one they meant.
func access(ix *catalog.Index, w *catalog.Workload, number uint16, ls []lead) mesh.Access {
	var found []*catalog.Policy
	for _, p := range ix.PoliciesIn(w.Namespace) {
		if p.Selects(w) && names(p, number) {
			found = append(found, p)
		}
	}
	for _, l := range ls {
		for _, p := range ix.PoliciesIn(l.service.Namespace) {
			if slices.Contains(p.Services, l.service) && names(p, l.port) {
				found = append(found, p)
			}
		}
	}
	slices.SortFunc(found, func(a, b *catalog.Policy) int { return a.Key.Compare(b.Key) })
	found = slices.Compact(found)

	var a mesh.Access
	for _, p := range found {
		a.Policies = append(a.Policies, accessRule(p, ix.Settings().TrustDomain))
	}
	return a
}

func names(p *catalog.Policy, port uint16) bool {
	return len(p.Ports) == 0 || slices.Contains(p.Ports, port)
}

func accessRule(p *catalog.Policy, td mesh.TrustDomain) mesh.AccessRule {
	r := mesh.AccessRule{Name: p.Key.String(), Audit: p.Audit}
	for _, c := range p.Allow {
		r.Identities = append(r.Identities, callerIdentity(c, td))
	}
	return r
}

func callerIdentity(c catalog.Caller, td mesh.TrustDomain) mesh.Identity {
	switch {
	case c.Any:
		return "*"
	case c.Identity != "":
		return c.Identity
	default:
		return mesh.NewIdentity(td, c.Namespace, c.ServiceAccount) // also with the account "*"
	}
}
