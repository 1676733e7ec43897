package route

import (
	"fmt"
	"regexp"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
)

// Table is the rules of one destination, ready to be matched. It may be used
// by any number of goroutines.
type Table struct {
	rules []Rule
}

// Rule is one rule of a table.
type Rule struct {
	// Name is the rule's in the snapshot.
	Name string
	// Timeout bounds the whole request. Zero means none.
	Timeout time.Duration
	// Backends are those of the snapshot, in its order.
	Backends []mesh.Backend

	matches []match
	upTo    []uint64 // for each backend the sum of the weights up to its own
}

// NewTable builds the table of a destination. It refuses what cannot be
// matched: a broken regular expression, a kind of match it does not know, a
// backend without a set. A destination without rules gets a table that matches
// everything and leads to the destination's own endpoints.
func NewTable(d *mesh.Destination) (*Table, error) {
	if len(d.Route.Rules) == 0 {
		return &Table{rules: []Rule{ownRule(d)}}, nil
	}
	t := &Table{rules: make([]Rule, len(d.Route.Rules))}
	for i := range d.Route.Rules {
		if err := t.rules[i].build(&d.Route.Rules[i], len(d.Sets)); err != nil {
			return nil, fmt.Errorf("route %s: rule %q: %w", d.Target, d.Route.Rules[i].Name, err)
		}
	}
	return t, nil
}

func ownRule(d *mesh.Destination) Rule {
	if d.Default < 0 {
		return Rule{}
	}
	own := mesh.Backend{Service: d.Service, Port: d.Port, Weight: 1, Set: d.Default}
	return Rule{Backends: []mesh.Backend{own}, upTo: []uint64{1}}
}

func (r *Rule) build(m *mesh.Rule, sets int) error {
	r.Name, r.Timeout = m.Name, m.Timeout
	r.Backends = m.Backends
	total := uint64(0)
	for _, b := range m.Backends {
		if b.Set >= sets || b.Set < -1 {
			return fmt.Errorf("backend %s has set %d of %d", b.Service, b.Set, sets)
		}
		total += uint64(b.Weight)
		r.upTo = append(r.upTo, total)
	}
	for i := range m.Matches {
		built, err := buildMatch(&m.Matches[i])
		if err != nil {
			return err
		}
		r.matches = append(r.matches, built)
	}
	return nil
}

// Match gives the first rule that takes the request, and false when none does.
func (t *Table) Match(req *flow.Request) (*Rule, bool) {
	for i := range t.rules {
		if t.rules[i].takes(req) {
			return &t.rules[i], true
		}
	}
	return nil, false
}

func (r *Rule) takes(req *flow.Request) bool {
	if len(r.matches) == 0 {
		return true
	}
	for i := range r.matches {
		if r.matches[i].holds(req) {
			return true
		}
	}
	return false
}

// Pick chooses a backend by weight, from a random number, and gives its index
// in Backends; -1 when there is none with a weight. The chosen one may be
// unknown to everybody (its Set is -1): then its share of the requests fails
// and is not moved to the others.
func (r *Rule) Pick(random uint32) int {
	if len(r.upTo) == 0 {
		return -1
	}
	at := uint64(random) * r.upTo[len(r.upTo)-1] >> 32
	for i, upTo := range r.upTo {
		if at < upTo {
			return i
		}
	}
	return -1
}

// compileWhole compiles an expression so that it must match all of a value.
func compileWhole(expr string) (*regexp.Regexp, error) {
	if _, err := regexp.Compile(expr); err != nil { // so that the error shows what was written
		return nil, err
	}
	return regexp.Compile(`\A(?:` + expr + `)\z`)
}
