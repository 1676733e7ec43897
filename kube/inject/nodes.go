package inject

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxNodes bounds what a document may be when its aliases are written out: few
// lines can stand for very many.
const maxNodes = 1 << 20

// writeOut replaces each alias by what it stands for, and each merge key by the
// keys that it brings, so that one place can be changed without the others.
// Documents without them stay as they are.
func writeOut(root *yaml.Node) error {
	if !hasAlias(root) {
		return nil
	}
	left := maxNodes
	return expand(root, &left, 0)
}

func hasAlias(n *yaml.Node) bool {
	return n.Kind == yaml.AliasNode || slices.ContainsFunc(n.Content, hasAlias)
}

// maxDepth is deeper than any object; an alias to what is around it has no end.
const maxDepth = 1000

func expand(n *yaml.Node, left *int, depth int) error {
	if *left--; *left < 0 || depth > maxDepth {
		return fmt.Errorf("its aliases stand for more than %d values, or for themselves", maxNodes)
	}
	n.Anchor = ""
	for i, c := range n.Content {
		if c.Kind == yaml.AliasNode {
			copied := *c.Alias
			copied.Content = slices.Clone(c.Alias.Content)
			copied.HeadComment, copied.LineComment, copied.FootComment = c.HeadComment, c.LineComment, c.FootComment
			c = &copied
		} else {
			copied := *c // an alias elsewhere may share it
			copied.Content = slices.Clone(c.Content)
			c = &copied
		}
		n.Content[i] = c
		if err := expand(c, left, depth+1); err != nil {
			return err
		}
	}
	if n.Kind == yaml.MappingNode {
		merge(n)
	}
	return nil
}

// merge puts the keys that a merge key brings into its place, except those that
// the mapping has itself (yaml.org/type/merge.html).
func merge(n *yaml.Node) {
	var own []*yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			own = append(own, n.Content[i], n.Content[i+1])
		}
	}
	if len(own) == len(n.Content) {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Tag != "!!merge" {
			continue
		}
		from := []*yaml.Node{n.Content[i+1]}
		if from[0].Kind == yaml.SequenceNode {
			from = from[0].Content
		}
		for _, m := range from {
			for j := 0; j+1 < len(m.Content); j += 2 {
				if value(&yaml.Node{Kind: yaml.MappingNode, Content: own}, m.Content[j].Value) == nil {
					own = append(own, m.Content[j], m.Content[j+1])
				}
			}
		}
	}
	n.Content = own
}

// value gives the node at a key of a mapping, or nil.
func value(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

func scalar(n *yaml.Node, key string) string {
	if v := value(n, key); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}

// errShape says that a document is not what was decoded of it: a key is there
// twice, for one.
var errShape = errors.New("it is not as it was read; is a key there twice?")

// apply does one step of a patch to YAML, in which the rest keeps its form.
func apply(n *yaml.Node, op Op) error {
	parts := strings.Split(op.Path, "/")[1:]
	for _, part := range parts[:len(parts)-1] {
		if n = step(n, unescape(part)); n == nil {
			return errShape
		}
	}
	key := unescape(parts[len(parts)-1])
	fresh := new(yaml.Node)
	if op.Op != "remove" {
		var err error
		if fresh, err = encode(op.Value); err != nil {
			return err
		}
	}
	switch n.Kind {
	case yaml.MappingNode:
		return applyToMapping(n, op.Op, key, fresh)
	case yaml.SequenceNode:
		return applyToSequence(n, op.Op, key, fresh)
	}
	return errShape
}

func step(n *yaml.Node, part string) *yaml.Node {
	switch n.Kind {
	case yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == part {
				return n.Content[i+1]
			}
		}
	case yaml.SequenceNode:
		if i, err := strconv.Atoi(part); err == nil && i >= 0 && i < len(n.Content) {
			return n.Content[i]
		}
	}
	return nil
}

func applyToMapping(n *yaml.Node, op, key string, fresh *yaml.Node) error {
	if op == "add" {
		var name yaml.Node
		name.SetString(key)
		n.Style &^= yaml.FlowStyle
		n.Content = append(n.Content, &name, fresh)
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != key {
			continue
		}
		if op == "remove" {
			n.Content = append(n.Content[:i], n.Content[i+2:]...)
		} else {
			n.Content[i+1] = fresh
		}
		return nil
	}
	return errShape
}

func applyToSequence(n *yaml.Node, op, key string, fresh *yaml.Node) error {
	i, err := strconv.Atoi(key)
	if err != nil || i < 0 || i > len(n.Content) || i == len(n.Content) && op != "add" {
		return errShape
	}
	switch op {
	case "add":
		n.Style &^= yaml.FlowStyle
		n.Content = append(n.Content[:i], append([]*yaml.Node{fresh}, n.Content[i:]...)...)
	case "remove":
		n.Content = append(n.Content[:i], n.Content[i+1:]...)
	default:
		n.Content[i] = fresh
	}
	return nil
}

// encode writes a value as people would: whole numbers without a point, and the
// name of an object first.
func encode(v any) (*yaml.Node, error) {
	var n yaml.Node
	if err := n.Encode(whole(v)); err != nil {
		return nil, err
	}
	nameFirst(&n)
	return &n, nil
}

// whole copies a tree, with integers where JSON has left numbers that are.
func whole(v any) any {
	switch v := v.(type) {
	case float64:
		if i := int64(v); float64(i) == v {
			return i
		}
	case tree:
		t := make(tree, len(v))
		for key, x := range v {
			t[key] = whole(x)
		}
		return t
	case []any:
		l := make([]any, len(v))
		for i, x := range v {
			l[i] = whole(x)
		}
		return l
	}
	return v
}

func nameFirst(n *yaml.Node) {
	for _, c := range n.Content {
		nameFirst(c)
	}
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == "name" {
			pair := slices.Clone(n.Content[i : i+2])
			n.Content = slices.Concat(pair, n.Content[:i], n.Content[i+2:])
			return
		}
	}
}
