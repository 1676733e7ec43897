package route

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
)

type match struct {
	path    value
	method  string
	headers []named
	query   []named
}

// named is a value that must be there under a name.
type named struct {
	name string
	value
}

// value is a condition on one string.
type value struct {
	kind mesh.MatchKind
	want string
	expr *regexp.Regexp
}

func buildMatch(m *mesh.Match) (match, error) {
	path, err := buildValue(m.Path.Kind, m.Path.Value, true)
	if err != nil {
		return match{}, fmt.Errorf("path: %w", err)
	}
	out := match{path: path, method: m.Method}
	if out.headers, err = buildNamed(m.Headers); err != nil {
		return match{}, fmt.Errorf("header %w", err)
	}
	if out.query, err = buildNamed(m.Query); err != nil {
		return match{}, fmt.Errorf("query parameter %w", err)
	}
	return out, nil
}

func buildNamed(ms []mesh.ValueMatch) ([]named, error) {
	var out []named
	for _, m := range ms {
		v, err := buildValue(m.Kind, m.Value, false)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", m.Name, err)
		}
		out = append(out, named{name: m.Name, value: v})
	}
	return out, nil
}

func buildValue(kind mesh.MatchKind, want string, path bool) (value, error) {
	v := value{kind: kind, want: want}
	switch kind {
	case mesh.MatchAny, mesh.MatchExact:
	case mesh.MatchPrefix:
		if !path {
			return value{}, fmt.Errorf("only a path can be matched by prefix")
		}
		v.want = strings.TrimSuffix(want, "/")
	case mesh.MatchRegex:
		expr, err := compileWhole(want)
		if err != nil {
			return value{}, err
		}
		v.expr = expr
	default:
		return value{}, fmt.Errorf("match of unknown kind %d", kind)
	}
	return v, nil
}

// holds says whether everything in the match holds. The cheapest conditions
// are looked at first.
func (m *match) holds(req *flow.Request) bool {
	if m.method != "" && m.method != req.Method {
		return false
	}
	path, query, _ := strings.Cut(req.Path, "?")
	if !m.path.holds(path) {
		return false
	}
	for i := range m.headers {
		if !m.headers[i].inHeader(req) {
			return false
		}
	}
	for i := range m.query {
		if !m.query[i].inQuery(query) {
			return false
		}
	}
	return true
}

func (v *value) holds(s string) bool {
	switch v.kind {
	case mesh.MatchAny:
		return true
	case mesh.MatchExact:
		return s == v.want
	case mesh.MatchPrefix:
		// "/a" takes "/a" and "/a/b" and not "/ab".
		return strings.HasPrefix(s, v.want) && (len(s) == len(v.want) || s[len(v.want)] == '/')
	default:
		return v.expr.MatchString(s)
	}
}

// inHeader looks at the first field of that name. Host stands beside the
// other fields in a request.
func (n *named) inHeader(req *flow.Request) bool {
	if n.name == "host" {
		return req.Authority != "" && n.holds(req.Authority)
	}
	s, ok := req.Header(n.name)
	return ok && n.holds(s)
}

// inQuery looks at the first parameter of that name. Like the path, names and
// values are compared as they were sent.
func (n *named) inQuery(query string) bool {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if name, s, _ := strings.Cut(pair, "="); name == n.name {
			return n.holds(s)
		}
	}
	return false
}
