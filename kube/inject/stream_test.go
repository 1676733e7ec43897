package inject

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// TestManifests puts manifests as people write them through inject, and out
// again. A golden file has what was done, as comments, and then the stream.
func TestManifests(t *testing.T) {
	files, err := filepath.Glob("testdata/*.[yj]*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			original := string(b)
			once, lines := stream(t, original, Injecting(settings))
			golden(t, strings.TrimSuffix(file, filepath.Ext(file))+".golden", told(lines)+once)

			twice, lines := stream(t, once, Injecting(settings))
			if twice != once {
				t.Errorf("injecting twice: %s", cmp.Diff(once, twice))
			}
			for _, l := range lines {
				if l.Done {
					t.Errorf("%s %s was injected again", l.Kind, l.Name)
				}
			}
			newer := settings
			newer.Version, newer.Image, newer.CNI = "2", "leno-proxy:2", true
			fresh, _ := stream(t, original, Injecting(newer))
			again, _ := stream(t, once, Injecting(newer))
			if diff := cmp.Diff(decoded(t, fresh), decoded(t, again)); diff != "" {
				t.Error("another version over the first: ", diff)
			}
			back, _ := stream(t, once, Removing())
			if diff := cmp.Diff(decoded(t, original), decoded(t, back)); diff != "" {
				t.Error("after taking out: ", diff)
			}
		})
	}
}

func told(lines []Line) string {
	var report strings.Builder
	for _, l := range lines {
		if l.Done {
			fmt.Fprintf(&report, "## %s %s injected\n", l.Kind, l.Name)
		} else {
			fmt.Fprintf(&report, "## %s %s left alone: %s\n", l.Kind, l.Name, l.Skipped)
		}
		for _, w := range l.Warnings {
			fmt.Fprintf(&report, "## %s %s warning: %s\n", l.Kind, l.Name, w)
		}
	}
	return report.String()
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s is another one (rewrite with -update):\n%s", file, diff)
	}
}

// TestBytes has streams of which every byte stays.
func TestBytes(t *testing.T) {
	for _, text := range []string{
		"", "# nothing\n", "%YAML 1.2\n---\na:   b\n", "a: b\n...\n", "a: b\n---\n---\nc: [d ,e]\n",
		"kind: Service\r\nspec:   {}\r\n", "- just\n- a list\n", "text\n", "--- ---\n", "---\n---\n", "---\r\na: b\n", "a: b\n--- # c\n---\t|\n  text\n", "kind: Pod\nmetadata: {name: a}\nspec: {hostNetwork: true,  containers: [{}]}\n",
	} {
		if got, _ := stream(t, text, Injecting(settings)); got != text {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestStreamErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a: b\n---\nkind: Deployment\nmetadata: {name: x}\nspec: {}":                                   "document 2: Deployment x: it has no spec.template",
		"kind: Pod\nspec: {containers: [{a: b}]\n":                                                     "document 1: ",
		"kind: Pod\nmetadata: {annotations: {leno.dev/inject: 'on'}}\nspec: {containers: [{name: a}]}": "want `enabled`",
		"a: b\n...\nkind: Pod\n":             `there is another one behind "..."`,
		"kind: Pod\nspec: &a [*a]\n":         "for themselves",
		"kind: Job\nspec: {template: [1]}\n": "its pod is no mapping",
	} {
		var out strings.Builder
		if _, err := Stream(strings.NewReader(text), &out, Injecting(settings)); err == nil || !strings.Contains(err.Error(), want) || out.Len() > 0 {
			t.Errorf("%q: %v, want %s; wrote %q", text, err, want, &out)
		}
	}
	bomb := "kind: Pod\na0: &a0 [x]\n"
	for i := range 9 {
		bomb += fmt.Sprintf("a%d: &a%[1]d [%s]\n", i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d,", i), 10), ","))
	}
	if _, err := Stream(strings.NewReader(bomb), io.Discard, Injecting(settings)); err == nil || !strings.Contains(err.Error(), "aliases stand for") {
		t.Errorf("a bomb: %v", err)
	}
}

func FuzzStream(f *testing.F) {
	f.Add("kind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a}]}\n---\nx: &a [1]\ny: *a\n")
	f.Add("kind: List\nitems: [{kind: Job, spec: {template: {spec: {containers: [{}]}}}}]")
	f.Add("--- {kind: Pod, spec: {containers: [1]}}\n")
	f.Add("kind: Pod\nspec: {<<: &s {containers: [{livenessProbe: {tcpSocket: {port: 1}}}]}, a: *s}\n")
	f.Fuzz(func(t *testing.T, text string) {
		var once, twice, back strings.Builder
		if _, err := Stream(strings.NewReader(text), &once, Injecting(settings)); err != nil {
			return
		}
		lines, err := Stream(strings.NewReader(once.String()), &twice, Injecting(settings))
		if err != nil {
			t.Fatalf("again: %v\n%s", err, once.String())
		}
		if once.String() != twice.String() {
			t.Errorf("injecting twice:\n%s\n%s", once.String(), twice.String())
		}
		if _, err := Stream(strings.NewReader(once.String()), &back, Removing()); err != nil {
			t.Errorf("taking out of %v: %v", lines, err)
		}
	})
}
