package schema

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

const (
	maxDepth = 64      // of nested values
	maxNodes = 500_000 // in one file, aliases counted each time they are used
	maxErrs  = 100     // told about one file
)

// ignored and unsupported stand for fields that Leno knows and does not use.
// They are the types of blank fields whose yaml tag lists the names.
type (
	ignored     struct{}
	unsupported struct{}
)

// decoder fills structs from YAML nodes. A field name is found in the struct's
// yaml tags; whatever does not fit is noted with its line and the rest is read
// on.
type decoder struct {
	file  string
	errs  Errors
	nodes int
}

func (d *decoder) fail(line int, field, format string, args ...any) {
	if len(d.errs) < maxErrs {
		d.errs = append(d.errs, &Error{File: d.file, Line: line, Field: field, Message: fmt.Sprintf(format, args...)})
	}
}

// value reads n into v, which can be set.
func (d *decoder) value(n *yaml.Node, v reflect.Value, field string, depth int) {
	if n = d.enter(n, field, depth); n == nil || isNull(n) {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.value(n, v.Elem(), field, depth+1)
	case reflect.Struct:
		d.structure(n, v, field, depth)
	case reflect.Slice:
		d.list(n, v, field, depth)
	case reflect.Map:
		d.stringMap(n, v, field, depth)
	default:
		d.scalar(n, v, field)
	}
}

// enter follows aliases and holds the limits, which also end an alias to
// itself. It gives nil when the value cannot be read.
func (d *decoder) enter(n *yaml.Node, field string, depth int) *yaml.Node {
	if d.nodes++; d.nodes > maxNodes {
		if d.nodes == maxNodes+1 {
			d.fail(n.Line, field, "more than %d values in one file: split it", maxNodes)
		}
		return nil
	}
	if depth > maxDepth {
		d.fail(n.Line, field, "nested deeper than %d", maxDepth)
		return nil
	}
	for n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	return n
}

func (d *decoder) structure(n *yaml.Node, v reflect.Value, field string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.fail(n.Line, field, "want fields, got %s", describe(n))
		return
	}
	known := fieldsOf(v.Type())
	seen := make(map[string]bool)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, val := n.Content[i], n.Content[i+1]
		path := join(field, key.Value)
		f, ok := known[key.Value]
		switch {
		case !ok:
			d.fail(key.Line, path, "unknown field%s", suggest(key.Value, known))
		case seen[key.Value]:
			d.fail(key.Line, path, "is here twice")
		case f.Type == reflect.TypeFor[ignored]():
		case f.Type == reflect.TypeFor[unsupported]():
			if !isEmpty(val) {
				d.fail(key.Line, path, "is not supported by Leno yet: take it out")
			}
		default:
			d.value(val, v.FieldByIndex(f.Index), path, depth+1)
		}
		seen[key.Value] = true
	}
}

func (d *decoder) list(n *yaml.Node, v reflect.Value, field string, depth int) {
	if n.Kind != yaml.SequenceNode {
		d.fail(n.Line, field, "want a list, got %s", describe(n))
		return
	}
	out := reflect.MakeSlice(v.Type(), 0, min(len(n.Content), 1024))
	for i, item := range n.Content {
		elem := reflect.New(v.Type().Elem()).Elem()
		path := field + "[" + strconv.Itoa(i) + "]"
		if isNull(item) {
			d.fail(item.Line, path, "is empty")
		}
		d.value(item, elem, path, depth+1)
		out = reflect.Append(out, elem)
	}
	v.Set(out)
}

func (d *decoder) stringMap(n *yaml.Node, v reflect.Value, field string, depth int) {
	if n.Kind != yaml.MappingNode {
		d.fail(n.Line, field, "want names with values, got %s", describe(n))
		return
	}
	out := make(map[string]string, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i].Value
		if _, twice := out[key]; twice {
			d.fail(n.Content[i].Line, join(field, key), "is here twice")
		}
		var s string
		d.value(n.Content[i+1], reflect.ValueOf(&s).Elem(), join(field, key), depth+1)
		out[key] = s
	}
	v.Set(reflect.ValueOf(out))
}

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, field string) {
	if n.Kind != yaml.ScalarNode {
		d.fail(n.Line, field, "want %s, got %s", kindWord(v.Kind()), describe(n))
		return
	}
	switch v.Kind() {
	case reflect.String:
		if tag := n.ShortTag(); tag != "!!str" && tag != "!!timestamp" {
			d.fail(n.Line, field, "want a string: put quotes around %s", n.Value)
			return
		}
		v.SetString(n.Value)
	case reflect.Bool:
		if b, err := strconv.ParseBool(n.Value); err == nil && n.ShortTag() == "!!bool" {
			v.SetBool(b)
			return
		}
		d.fail(n.Line, field, "want true or false, got %q", n.Value)
	case reflect.Int32, reflect.Int64, reflect.Int:
		i, err := strconv.ParseInt(n.Value, 10, 64)
		if err != nil || n.ShortTag() != "!!int" || v.OverflowInt(i) {
			d.fail(n.Line, field, "want a whole number, got %q", n.Value)
			return
		}
		v.SetInt(i)
	default:
		panic("schema: no way to read a " + v.Type().String())
	}
}

// fieldsOf gives the fields of a struct by the names in their tags.
func fieldsOf(t reflect.Type) map[string]reflect.StructField {
	fields := make(map[string]reflect.StructField, t.NumField())
	for i := range t.NumField() {
		f := t.Field(i)
		if tag := f.Tag.Get("yaml"); tag != "" {
			for name := range strings.SplitSeq(tag, ",") {
				fields[name] = f
			}
		}
	}
	return fields
}

func join(field, name string) string {
	if field == "" {
		return name
	}
	return field + "." + name
}

func isNull(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null"
}

func isEmpty(n *yaml.Node) bool {
	return isNull(n) || (n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode) && len(n.Content) == 0
}

func describe(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "fields"
	case yaml.SequenceNode:
		return "a list"
	default:
		return strconv.Quote(n.Value)
	}
}

func kindWord(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	default:
		return "a whole number"
	}
}
