package inject

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Op is one step of a JSON patch (RFC 6902): add, replace or remove.
type Op struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// Diff gives the steps that make one tree of another.
func Diff(from, to map[string]any) []Op { return diffTree(nil, "", from, to) }

func diffTree(ops []Op, at string, from, to tree) []Op {
	for _, key := range slices.Sorted(maps.Keys(from)) {
		path := at + "/" + escape(key)
		if _, stays := to[key]; !stays {
			ops = append(ops, Op{Op: "remove", Path: path})
			continue
		}
		ops = diffValue(ops, path, from[key], to[key])
	}
	for _, key := range slices.Sorted(maps.Keys(to)) {
		if _, was := from[key]; !was {
			ops = append(ops, Op{Op: "add", Path: at + "/" + escape(key), Value: to[key]})
		}
	}
	return ops
}

func diffValue(ops []Op, path string, from, to any) []Op {
	if same(from, to) {
		return ops
	}
	switch a := from.(type) {
	case tree:
		if b, ok := to.(tree); ok {
			return diffTree(ops, path, a, b)
		}
	case []any:
		if b, ok := to.([]any); ok {
			return diffList(ops, path, a, b)
		}
	}
	return append(ops, Op{Op: "replace", Path: path, Value: to})
}

// diffList knows lists of the same length and those that grew or shrank at one
// end; others are replaced. So what stands between stays as it is written.
func diffList(ops []Op, path string, from, to []any) []Op {
	at := func(i int) string { return path + "/" + strconv.Itoa(i) }
	n := len(to) - len(from)
	switch {
	case n == 0:
		for i := range from {
			ops = diffValue(ops, at(i), from[i], to[i])
		}
	case n > 0 && same(from, to[n:]):
		for i := range n {
			ops = append(ops, Op{Op: "add", Path: at(i), Value: to[i]})
		}
	case n > 0 && same(from, to[:len(from)]):
		for i := len(from); i < len(to); i++ {
			ops = append(ops, Op{Op: "add", Path: at(i), Value: to[i]})
		}
	case n < 0 && same(from[-n:], to):
		for range -n {
			ops = append(ops, Op{Op: "remove", Path: at(0)})
		}
	case n < 0 && same(from[:len(to)], to):
		for i := len(from) - 1; i >= len(to); i-- {
			ops = append(ops, Op{Op: "remove", Path: at(i)})
		}
	default:
		ops = append(ops, Op{Op: "replace", Path: path, Value: to})
	}
	return ops
}

// escape writes a key as part of a JSON pointer (RFC 6901, section 3).
func escape(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

func unescape(part string) string {
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
}
