package schema

import (
	"fmt"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/leno-mesh/leno/mesh"
)

// checker notes what is wrong in one document, with the line of the field.
type checker struct {
	*decoder
	root *yaml.Node
	told Errors // what could not be read, so that it is not told again
}

// wrong notes a message about a field, "spec.ports[1].port". When it is not
// there the line is that of the nearest field above it.
func (c *checker) wrong(field, format string, args ...any) {
	for _, e := range c.told {
		if within(e.Field, field) || within(field, e.Field) {
			return
		}
	}
	c.fail(lineOf(c.root, field), field, format, args...)
}

// within says whether a field is another one or stands below it.
func within(field, above string) bool {
	rest, ok := strings.CutPrefix(field, above)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '[')
}

// port checks a number that must be a port.
func (c *checker) port(field string, n int32) bool {
	if n < 1 || n > 65535 {
		c.wrong(field, "want a port from 1 to 65535, got %d", n)
		return false
	}
	return true
}

// label checks the name of a service or of a namespace that holds services.
func (c *checker) label(field, name string) {
	if _, err := mesh.ParseServiceName(name + ".x"); err != nil {
		c.wrong(field, "want 1 to 63 lower-case letters, digits and dashes, got %q", name)
	}
}

// atMost checks the length of a list.
func (c *checker) atMost(field string, n, most int) {
	if n > most {
		c.wrong(field, "has %d items, at most %d are allowed", n, most)
	}
}

// oneOf checks a word and gives the default when it is empty.
func (c *checker) oneOf(field, word string, allowed ...string) string {
	if word == "" {
		return allowed[0]
	}
	for _, a := range allowed {
		if word == a {
			return a
		}
	}
	c.wrong(field, "want %s, got %q", strings.Join(allowed, " or "), word)
	return allowed[0]
}

func at(format string, args ...any) string { return fmt.Sprintf(format, args...) }

// lineOf finds the line of a field path below n.
func lineOf(n *yaml.Node, field string) int {
	line := n.Line
	for part := range strings.SplitSeq(field, ".") {
		name, index, indexed := strings.Cut(strings.TrimSuffix(part, "]"), "[")
		if n = resolveAlias(child(n, name)); n == nil {
			return line
		}
		line = n.Line
		if !indexed {
			continue
		}
		i, err := strconv.Atoi(index)
		if err != nil || n.Kind != yaml.SequenceNode || i < 0 || i >= len(n.Content) {
			return line
		}
		n = resolveAlias(n.Content[i])
		line = n.Line
	}
	return line
}

func resolveAlias(n *yaml.Node) *yaml.Node {
	for n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}
