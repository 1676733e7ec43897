package compile

import (
	"cmp"
	"slices"
	"strconv"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
)

// route gives the rules for one port of a service, in the order in which they
// are tried.
func (b *builder) route(name mesh.ServiceName, port uint16) mesh.Route {
	var rules []ranked
	for _, r := range routesFor(b.ix, b.caller.Namespace, name, port) {
		for i := range r.Rules {
			rules = append(rules, b.rank(r, i)...)
		}
	}
	slices.SortStableFunc(rules, compareRanked)
	var out mesh.Route
	for _, r := range rules {
		out.Rules = append(out.Rules, r.rule)
	}
	return out
}

// routesFor gives the routes that hold for a caller. Those in the caller's own
// namespace are a consumer's: they replace those that the service's owner
// wrote, for callers of that namespace only (Gateway API, GEP-1294).
func routesFor(ix *catalog.Index, namespace string, name mesh.ServiceName, port uint16) []*catalog.Route {
	var consumer, producer []*catalog.Route
	for _, r := range ix.RoutesOf(name) {
		switch {
		case !hasParent(r, name, port):
		case r.Key.Namespace == name.Namespace:
			producer = append(producer, r)
		case r.Key.Namespace == namespace:
			consumer = append(consumer, r)
		}
	}
	if len(consumer) > 0 {
		return consumer
	}
	return producer
}

func hasParent(r *catalog.Route, name mesh.ServiceName, port uint16) bool {
	return slices.ContainsFunc(r.Parents, func(p catalog.Parent) bool {
		return p.Service == name && (p.Port == 0 || p.Port == port)
	})
}

// ranked is a rule with a single match, and where it came from.
type ranked struct {
	rule  mesh.Rule
	match mesh.Match
	route *catalog.Route
}

// rank takes one rule of a route apart, since precedence is between matches
// and not between rules.
func (b *builder) rank(r *catalog.Route, i int) []ranked {
	rule := r.Rules[i]
	rule.Name = r.Key.String() + "/" + strconv.Itoa(i)
	rule.Backends = slices.Clone(rule.Backends)
	for j := range rule.Backends {
		be := &rule.Backends[j]
		be.Set = b.set(be.Service, be.Port)
	}
	matches := rule.Matches
	if len(matches) == 0 {
		matches = []mesh.Match{{}}
	}
	out := make([]ranked, len(matches))
	for j, m := range matches {
		rule.Matches = []mesh.Match{m}
		out[j] = ranked{rule: rule, match: m, route: r}
	}
	return out
}

// compareRanked is the precedence of Gateway API's HTTPRoute: exact path,
// longest prefix, method, most headers, most query parameters, then the oldest
// route and its name. Where it leaves the place of a regular expression open,
// Leno puts it between an exact path and a prefix. Rules of one route that are
// equal otherwise keep their order: the sort is stable.
func compareRanked(a, b ranked) int {
	return cmp.Or(
		-cmp.Compare(pathRank(a.match.Path), pathRank(b.match.Path)),
		-cmp.Compare(pathLength(a.match.Path), pathLength(b.match.Path)),
		-compareBool(a.match.Method != "", b.match.Method != ""),
		-cmp.Compare(len(a.match.Headers), len(b.match.Headers)),
		-cmp.Compare(len(a.match.Query), len(b.match.Query)),
		a.route.Created.Compare(b.route.Created),
		a.route.Key.Compare(b.route.Key),
	)
}

func pathRank(p mesh.PathMatch) int {
	switch p.Kind {
	case mesh.MatchExact:
		return 2
	case mesh.MatchRegex:
		return 1
	default:
		return 0
	}
}

// pathLength is that of a path that matches all as "/" does.
func pathLength(p mesh.PathMatch) int {
	if p.Kind == mesh.MatchAny {
		return 1
	}
	return len(p.Value)
}

func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	default:
		return -1
	}
}
