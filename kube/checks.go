package kube

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/leno-mesh/leno/control/operator"
)

// Checks gives what the door has to say to `leno check`.
func (d *Door) Checks() []operator.Check {
	s := d.Status()
	var all []operator.Check
	say := func(severity, what, wrong, hint string) {
		all = append(all, operator.Check{Category: "cluster", Description: what, Result: severity, Error: wrong, Hint: hint})
	}
	for _, k := range slices.Sorted(maps.Keys(s.Lost)) {
		say(operator.SeverityWarning, "the cluster is watched: "+k, s.Lost[k]+"; the server goes on with what it knows",
			"is the API server up? `leno upgrade` puts the server's rights right")
	}
	for _, p := range s.Problems {
		severity, now := operator.SeverityError, "it is not in force"
		if p.Kept {
			severity, now = operator.SeverityWarning, "its earlier state stays in force"
		}
		say(severity, p.Object+" is understood", p.Message+"; "+now, "it is taken as soon as it is right: "+edit(p.Object))
	}
	if _, lost := s.Lost[string(kindPolicy)]; !lost && slices.Contains(s.Missing, string(kindPolicy)) {
		say(operator.SeverityWarning, "the cluster has AccessPolicies", "it does not have the kind, so everybody may call everything",
			"`leno upgrade` installs it")
	}
	if s.Strays > 0 {
		say(operator.SeverityWarning, "every pod is in the mesh's networks",
			fmt.Sprintf("%d are not: an address there that nobody knows yet may be called in plain text", s.Strays),
			"name the networks of the pods: `leno upgrade --set networks={10.0.0.0/16}`")
	}
	if len(all) == 0 {
		say(operator.SeverityOK, "the cluster is watched, and every resource understood", "", "")
	}
	return all
}

// edit is how to open an object, "HTTPRoute shop/web" or "Node n1".
func edit(object string) string {
	kind, name, _ := strings.Cut(object, " ")
	namespace, name, inOne := strings.Cut(name, "/")
	if !inOne {
		return "kubectl edit " + strings.ToLower(kind) + " " + namespace
	}
	return fmt.Sprintf("kubectl edit %s -n %s %s", strings.ToLower(kind), namespace, name)
}
