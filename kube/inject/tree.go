package inject

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
)

// tree is a JSON object.
type tree = map[string]any

// sub gives an object inside another, or nil.
func sub(t tree, keys ...string) tree {
	for _, key := range keys {
		t, _ = t[key].(tree)
	}
	return t
}

func text(t tree, key string) string {
	s, _ := t[key].(string)
	return s
}

func list(t tree, key string) []any {
	l, _ := t[key].([]any)
	return l
}

// objects gives the objects of a list.
func objects(t tree, key string) []tree {
	var all []tree
	for _, x := range list(t, key) {
		if o, ok := x.(tree); ok {
			all = append(all, o)
		}
	}
	return all
}

// child gives an object inside another, made if it is not there.
func child(t tree, key string) tree {
	if c, ok := t[key].(tree); ok {
		return c
	}
	c := tree{}
	t[key] = c
	return c
}

// without drops the objects of a list that have one of the names, and the list
// with the last of them.
func without(t tree, key string, names ...string) {
	before := list(t, key)
	after := make([]any, 0, len(before))
	for _, x := range before {
		o, _ := x.(tree)
		ours := false
		for _, name := range names {
			ours = ours || o != nil && o["name"] == name
		}
		if !ours {
			after = append(after, x)
		}
	}
	switch {
	case len(after) == len(before):
	case len(after) == 0:
		delete(t, key)
	default:
		t[key] = after
	}
}

// drop deletes a key of an object inside another, and that object with its
// last key.
func drop(t tree, object, key string) {
	o := sub(t, object)
	if _, has := o[key]; !has {
		return
	}
	delete(o, key)
	if len(o) == 0 {
		delete(t, object)
	}
}

// normal gives the tree that a value's JSON is, a copy. YAML allows keys that
// are not text; JSON writes them as text.
func normal(v any) (tree, error) {
	b, err := json.Marshal(texted(v))
	if err != nil {
		return nil, err
	}
	var t tree
	err = json.Unmarshal(b, &t)
	return t, err
}

func texted(v any) any {
	switch v := v.(type) {
	case map[any]any:
		t := make(tree, len(v))
		for key, x := range v {
			t[fmt.Sprint(key)] = texted(x)
		}
		return t
	case tree:
		t := make(tree, len(v))
		for key, x := range v {
			t[key] = texted(x)
		}
		return t
	case []any:
		l := make([]any, len(v))
		for i, x := range v {
			l[i] = texted(x)
		}
		return l
	}
	return v
}

// clone copies a tree.
func clone(v any) any {
	switch v := v.(type) {
	case tree:
		c := make(tree, len(v))
		for key, x := range v {
			c[key] = clone(x)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, x := range v {
			c[i] = clone(x)
		}
		return c
	}
	return v
}

func same(a, b any) bool { return reflect.DeepEqual(a, b) }

func texts(t tree) map[string]string {
	out := make(map[string]string, len(t))
	for key, v := range t {
		if s, ok := v.(string); ok {
			out[key] = s
		}
	}
	return out
}

// isTrue reads a bool, also as YAML 1.1 wrote it.
func isTrue(v any) bool {
	s, _ := v.(string)
	return v == true || slices.Contains([]string{"yes", "Yes", "YES", "on", "On", "ON"}, s)
}

// number writes a number of a tree.
func number(v any) string {
	switch v := v.(type) {
	case float64: // as JSON reads it
		return strconv.FormatFloat(v, 'f', -1, 64)
	case nil:
		return ""
	default:
		return fmt.Sprint(v)
	}
}
