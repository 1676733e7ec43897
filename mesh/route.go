package mesh

import "time"

// Route is the compiled form of all HTTPRoutes of one destination: its rules
// in the order in which they are tried. The first rule with a match wins.
type Route struct {
	Rules []Rule
}

// Rule says where the requests go that one of its matches accepts. A rule
// with no match accepts all.
type Rule struct {
	// Name says which resource the rule came from, "route/rule-index".
	Name string
	// Matches are alternatives: one of them must hold.
	Matches []Match
	// Backends share the requests by weight. None at all, or all weights
	// zero, means the rule fails its requests with reason no-backend.
	Backends []Backend
	// Timeout bounds a request from its first byte to the last byte of the
	// answer. Zero means none.
	Timeout time.Duration
}

// Backend is a share of a rule.
type Backend struct {
	Service ServiceName
	Port    uint16
	// Weight is relative to the other backends of the rule.
	Weight uint32
	// Set is the index of the backend's endpoints in Destination.Sets, or -1
	// when no such service is known.
	Set int
}

// Match is a condition on one request: everything named in it must hold.
type Match struct {
	Path    PathMatch
	Method  string // empty: any
	Headers []ValueMatch
	Query   []ValueMatch
}

// MatchKind says how a value is compared.
type MatchKind uint8

// The ways to compare.
const (
	MatchAny MatchKind = iota
	MatchExact
	MatchPrefix // of whole path elements, for paths only
	MatchRegex  // RE2, over the whole value
)

// PathMatch compares the path without its query.
type PathMatch struct {
	Kind  MatchKind
	Value string
}

// ValueMatch compares one header or one query parameter. Header names are
// in lower case.
type ValueMatch struct {
	Name  string
	Kind  MatchKind
	Value string
}
