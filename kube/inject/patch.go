package inject

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Op is one step of a JSON patch (RFC 6902): add, replace or remove. A remove
// has no value; the value of the others may be nil, which is null.
type Op struct {
	Op, Path string
	Value    any
}

// MarshalJSON writes a step as section 4 of the RFC has it.
func (o Op) MarshalJSON() ([]byte, error) {
	step := tree{"op": o.Op, "path": o.Path}
	if o.Op != "remove" {
		step["value"] = o.Value
	}
	return json.Marshal(step)
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

// diffList knows lists that grew or shrank at one end; others are replaced. So
// what is there already stays as it is written. Steps are done in their order,
// and each sees what those before it left.
func diffList(ops []Op, path string, from, to []any) []Op {
	at := func(i int) string { return path + "/" + strconv.Itoa(i) }
	grown := len(to) - len(from)
	switch {
	case grown >= 0 && alike(from, to[grown:]): // at the front
		for i := range from {
			ops = diffValue(ops, at(i), from[i], to[grown+i])
		}
		for i := range grown {
			ops = append(ops, Op{Op: "add", Path: at(i), Value: to[i]})
		}
	case grown > 0 && alike(from, to[:len(from)]): // at the end
		for i := range from {
			ops = diffValue(ops, at(i), from[i], to[i])
		}
		for i := len(from); i < len(to); i++ {
			ops = append(ops, Op{Op: "add", Path: at(i), Value: to[i]})
		}
	case grown < 0 && alike(from[-grown:], to):
		for range -grown {
			ops = append(ops, Op{Op: "remove", Path: at(0)})
		}
		for i := range to {
			ops = diffValue(ops, at(i), from[i-grown], to[i])
		}
	case grown < 0 && alike(from[:len(to)], to):
		for i := len(from) - 1; i >= len(to); i-- {
			ops = append(ops, Op{Op: "remove", Path: at(i)})
		}
		for i := range to {
			ops = diffValue(ops, at(i), from[i], to[i])
		}
	default:
		ops = append(ops, Op{Op: "replace", Path: path, Value: to})
	}
	return ops
}

// alike tells whether lists have the same things in the same order, objects by
// their names.
func alike(a, b []any) bool {
	return slices.EqualFunc(a, b, func(x, y any) bool {
		o, isObject := x.(tree)
		p, _ := y.(tree)
		return isObject && p != nil && text(o, "name") != "" && o["name"] == p["name"] || same(x, y)
	})
}

// escape writes a key as part of a JSON pointer (RFC 6901, section 3).
func escape(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

func unescape(part string) string {
	return strings.NewReplacer("~1", "/", "~0", "~").Replace(part)
}
