package inject

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// maxStream bounds what is read of a YAML stream.
const maxStream = 64 << 20

// Line is what was done to one object of a stream.
type Line struct {
	Kind, Name string
	Done       bool
	Skipped    string // why not
	Warnings   []string
}

// Change is one way to change pods in a stream.
type Change func(pod map[string]any) (Outcome, error)

// Injecting is the Change that injects.
func Injecting(s Settings) Change {
	return func(pod map[string]any) (Outcome, error) { return Pod(pod, s) }
}

// Removing is the Change that takes out.
func Removing() Change {
	return func(pod map[string]any) (Outcome, error) {
		fresh, _ := clone(pod).(tree)
		if !Remove(fresh) {
			return Outcome{Pod: pod, Skipped: "it was not injected"}, nil
		}
		return Outcome{Pod: fresh}, nil
	}
}

// Stream changes the pods of every workload in a stream of YAML documents and
// writes all of it. What is not changed keeps its form, comments included. The
// error says in which document it is, counted from 1; then nothing of that
// document is written.
func Stream(in io.Reader, out io.Writer, change Change) ([]Line, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxStream+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxStream {
		return nil, fmt.Errorf("more than %d MiB of YAML", maxStream>>20)
	}
	var report []Line
	for i, doc := range documents(text) {
		changed, lines, err := document(doc, change)
		if err != nil {
			return report, fmt.Errorf("document %d: %w", i+1, err)
		}
		report = append(report, lines...)
		if i > 0 {
			changed = append([]byte("---\n"), changed...)
		}
		if _, err := out.Write(changed); err != nil {
			return report, err
		}
	}
	return report, nil
}

// documents splits a stream at its "---" lines.
func documents(text []byte) (docs [][]byte) {
	var doc bytes.Buffer
	first := true
	lines := bufio.NewReader(bytes.NewReader(text))
	for {
		line, err := lines.ReadBytes('\n')
		if marker := bytes.TrimRight(line, " \t\r\n"); string(marker) == "---" || bytes.HasPrefix(line, []byte("--- ")) {
			if !first || len(bytes.TrimSpace(doc.Bytes())) > 0 {
				docs = append(docs, bytes.Clone(doc.Bytes()))
			}
			first = false
			doc.Reset()
			if rest := bytes.TrimSpace(bytes.TrimPrefix(marker, []byte("---"))); len(rest) > 0 {
				doc.Write(append(rest, '\n'))
			}
		} else {
			doc.Write(line)
		}
		if err != nil {
			return append(docs, doc.Bytes())
		}
	}
}

// document changes the pods in one document. A List has several.
func document(text []byte, change Change) ([]byte, []Line, error) {
	var root yaml.Node
	if err := yaml.Unmarshal(text, &root); err != nil {
		return nil, nil, err
	}
	if len(root.Content) == 0 {
		return text, nil, nil // empty, or comments
	}
	lines, err := object(root.Content[0], change)
	if err != nil {
		return nil, nil, err
	}
	done := false
	for _, l := range lines {
		done = done || l.Done
	}
	if !done {
		return text, lines, nil
	}
	var out bytes.Buffer
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(&root); err != nil {
		return nil, nil, err
	}
	return out.Bytes(), lines, enc.Close()
}

// templates are where the kinds keep their pods.
func templates(kind string) (path []string, ok bool) {
	switch kind {
	case "Pod":
		return nil, true
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job":
		return []string{"spec", "template"}, true
	case "CronJob":
		return []string{"spec", "jobTemplate", "spec", "template"}, true
	case "PodTemplate":
		return []string{"template"}, true
	}
	return nil, false
}

// object changes the pod of one object, or those of a list's items.
func object(n *yaml.Node, change Change) ([]Line, error) {
	if n.Kind != yaml.MappingNode {
		return nil, nil
	}
	kind := scalar(n, "kind")
	if items := value(n, "items"); items != nil && strings.HasSuffix(kind, "List") && items.Kind == yaml.SequenceNode {
		var lines []Line
		for _, item := range items.Content {
			more, err := object(item, change)
			if err != nil {
				return nil, err
			}
			lines = append(lines, more...)
		}
		return lines, nil
	}
	path, ok := templates(kind)
	if !ok {
		return nil, nil
	}
	line := Line{Kind: kind, Name: scalar(value(n, "metadata"), "name")}
	at := n
	for _, key := range path {
		if at = value(at, key); at == nil {
			return nil, fmt.Errorf("%s %s: it has no %s", kind, line.Name, strings.Join(path, "."))
		}
	}
	if err := template(at, change, &line); err != nil {
		return nil, fmt.Errorf("%s %s: %w", kind, line.Name, err)
	}
	return []Line{line}, nil
}

// template changes one pod in place.
func template(n *yaml.Node, change Change, line *Line) error {
	var decoded any
	if err := n.Decode(&decoded); err != nil {
		return err
	}
	if _, ok := decoded.(tree); !ok {
		return errors.New("its pod is no mapping with text as keys")
	}
	from, err := normal(decoded)
	if err != nil {
		return err
	}
	out, err := change(from)
	if err != nil {
		return err
	}
	line.Warnings, line.Skipped = out.Warnings, out.Skipped
	if out.Skipped != "" {
		return nil
	}
	ops := Diff(from, out.Pod)
	line.Done = true
	for _, op := range ops {
		if err := apply(n, op); err != nil {
			return fmt.Errorf("%s: %w", op.Path, err)
		}
	}
	return nil
}

// value gives the node at a key of a mapping, or nil.
func value(n *yaml.Node, key string) *yaml.Node {
	if n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
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

var errAlias = errors.New("it is written with an alias or a merge key; write it out")

// apply does one step of a patch to YAML, in which the rest keeps its form.
func apply(n *yaml.Node, op Op) error {
	parts := strings.Split(op.Path, "/")[1:]
	for _, part := range parts[:len(parts)-1] {
		if n = step(n, unescape(part)); n == nil {
			return errAlias
		}
	}
	key := unescape(parts[len(parts)-1])
	var fresh yaml.Node
	if op.Op != "remove" {
		if err := fresh.Encode(op.Value); err != nil {
			return err
		}
	}
	switch n.Kind {
	case yaml.MappingNode:
		return applyToMapping(n, op.Op, key, &fresh)
	case yaml.SequenceNode:
		return applyToSequence(n, op.Op, key, &fresh)
	}
	return errAlias
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
	return errAlias
}

func applyToSequence(n *yaml.Node, op, key string, fresh *yaml.Node) error {
	i, err := strconv.Atoi(key)
	if err != nil || i < 0 || i > len(n.Content) || i == len(n.Content) && op != "add" {
		return errAlias
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
