package inject

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

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
// writes all of it. What is not changed keeps its form; a document that is
// keeps its comments. The error says in which document it is, counted from 1,
// and in which object; then nothing at all is written.
func Stream(in io.Reader, out io.Writer, change Change) ([]Line, error) {
	text, err := io.ReadAll(io.LimitReader(in, maxStream+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxStream {
		return nil, fmt.Errorf("more than %d MiB of YAML", maxStream>>20)
	}
	if !utf8.Valid(text) {
		return nil, errors.New("it is not UTF-8")
	}
	var all bytes.Buffer
	var report []Line
	for i, doc := range documents(text) {
		changed, lines, err := document(doc.text, change)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", i+1, err)
		}
		report = append(report, lines...)
		if !marked(changed) {
			all.Write(ended(doc.marker))
		}
		all.Write(ended(changed))
	}
	_, err = out.Write(all.Bytes())
	return report, err
}

// part is one document of a stream, and the line before it that says so: none
// before the first as a rule. What follows a marker on its line is part of the
// text, with the marker: elsewhere it could mean something else.
type part struct{ marker, text []byte }

// documents splits a stream at its "---" lines.
func documents(text []byte) []part {
	var docs []part
	var doc part
	for line := range bytes.Lines(text) {
		alone := string(bytes.TrimRight(line, " \t\r\n")) == "---"
		if !alone && !marked(line) {
			doc.text = append(doc.text, line...)
			continue
		}
		if doc.marker != nil || len(bytes.TrimSpace(doc.text)) > 0 {
			docs = append(docs, doc)
		}
		if alone {
			doc = part{marker: line}
		} else {
			doc = part{marker: []byte("---\n"), text: bytes.Clone(line)}
		}
	}
	return append(docs, doc)
}

// ended gives a text with an end to its last line.
func ended(text []byte) []byte {
	if len(text) == 0 || text[len(text)-1] == '\n' {
		return text
	}
	return append(bytes.Clone(text), '\n')
}

// marked tells whether a text begins with the marker of a document and more on
// the same line.
func marked(text []byte) bool {
	return bytes.HasPrefix(text, []byte("--- ")) || bytes.HasPrefix(text, []byte("---\t"))
}

// document changes the pods in one document. A List has several.
func document(text []byte, change Change) ([]byte, []Line, error) {
	if !says(text) {
		return text, nil, nil
	}
	var root, more yaml.Node
	dec := yaml.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&root); err != nil {
		return nil, nil, err
	}
	if err := dec.Decode(&more); !errors.Is(err, io.EOF) {
		return nil, nil, errors.New(`there is another one behind "..."; put "---" between them`)
	}
	if err := writeOut(&root); err != nil {
		return nil, nil, err
	}
	lines, err := object(root.Content[0], change)
	if err != nil {
		return nil, nil, err
	}
	if !slices.ContainsFunc(lines, func(l Line) bool { return l.Done }) {
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

// says tells whether there is more in a document than comments and directives.
func says(text []byte) bool {
	if marked(text) {
		text = text[len("--- "):]
	}
	for line := range bytes.Lines(text) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && line[0] != '%' && string(line) != "..." {
			return true
		}
	}
	return false
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
	if len(ops) == 0 {
		line.Skipped = "there is nothing to change"
		return nil
	}
	line.Done = true
	for _, op := range ops {
		if err := apply(n, op); err != nil {
			return fmt.Errorf("%s: %w", op.Path, err)
		}
	}
	return nil
}
