package mesh

import (
	"slices"
	"strings"
)

// Place is where a caller is. Empty parts are not known.
type Place struct {
	Zone string
	Node string
}

// NearZone and NearNode are the words of Endpoint.Near.
func NearZone(zone string) string { return "zone/" + zone }

// NearNode is the word for a node.
func NearNode(node string) string { return "node/" + node }

// Nearest gives those of the endpoints that a caller at a place is to use, as
// Kubernetes does with the hints of endpoint slices: if every endpoint that
// takes requests names places, those that name the caller's node, or else
// those that name its zone, or else all. Endpoints that drain are left as they
// are: they are used when nothing better is there. A caller that is on no
// node, outside Kubernetes, may use those that are for one node only.
//
// The result is the argument itself where nothing is left out.
func Nearest(endpoints []Endpoint, p Place) []Endpoint {
	if p.Node != "" && slices.ContainsFunc(endpoints, func(e Endpoint) bool { return e.Only && !e.near(NearNode(p.Node)) }) {
		endpoints = keep(endpoints, func(e Endpoint) bool { return !e.Only || e.near(NearNode(p.Node)) })
	}
	for _, word := range []string{NearNode(p.Node), NearZone(p.Zone)} {
		if prefers(endpoints, word) {
			return keep(endpoints, func(e Endpoint) bool { return e.State == Draining || e.near(word) })
		}
	}
	return endpoints
}

// prefers says whether all endpoints name places, and one of them this one.
func prefers(endpoints []Endpoint, word string) bool {
	found := false
	for _, e := range endpoints {
		if e.State == Draining {
			continue
		}
		if e.Near == "" {
			return false
		}
		found = found || e.near(word)
	}
	return found
}

// near says whether an endpoint names a place. No place is never named.
func (e Endpoint) near(word string) bool {
	if strings.HasSuffix(word, "/") {
		return false
	}
	for w := range strings.SplitSeq(e.Near, " ") {
		if w == word {
			return true
		}
	}
	return false
}

func keep(endpoints []Endpoint, wanted func(Endpoint) bool) []Endpoint {
	kept := make([]Endpoint, 0, len(endpoints))
	for _, e := range endpoints {
		if wanted(e) {
			kept = append(kept, e)
		}
	}
	return kept
}
