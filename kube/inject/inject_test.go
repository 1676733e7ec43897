package inject

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

var settings = Settings{Image: "leno-proxy:1", Version: "1"}

func apps(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("testdata/apps.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func stream(t *testing.T, text string, change Change) (string, []Line) {
	t.Helper()
	var out strings.Builder
	lines, err := Stream(strings.NewReader(text), &out, change)
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), lines
}

// decoded gives the documents of a stream.
func decoded(t *testing.T, text string) (all []any) {
	t.Helper()
	dec := yaml.NewDecoder(strings.NewReader(text))
	for {
		var v any
		err := dec.Decode(&v)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatalf("%v in\n%s", err, text)
		}
		if v != nil {
			all = append(all, v)
		}
	}
}

func TestStream(t *testing.T) {
	got, lines := stream(t, apps(t), Injecting(settings))
	var report strings.Builder
	for _, l := range lines {
		fmt.Fprintln(&report, l.Kind, l.Name, l.Done, l.Skipped, l.Warnings)
	}
	const want = `Deployment web true  []
CronJob nightly true  []
StatefulSet db true  [container db uses UDP port 53; UDP is not captured, and so not protected]
DaemonSet node false it uses the node's network, where capture would catch the node's traffic []
Pod alone false it says leno.dev/inject: disabled []
`
	if diff := cmp.Diff(want, report.String()); diff != "" {
		t.Error(diff)
	}
	for _, keep := range []string{
		"# A small application", "# of them", "futureField: {kept: true}", "# waits for its database", "# the server", "# only a comment",
		"metadata: {name: web}\nspec: {selector", // a document that is left alone
		"/probe/tcp/8080?name=http", "path: /probe/tcp/8080\n", "--skip-outbound-ports=5432,9000-9010", "--log-level=debug",
	} {
		if !strings.Contains(got, keep) {
			t.Errorf("no %q in\n%s", keep, got)
		}
	}
	if n := strings.Count(got, "restartPolicy: Always"); n != 3 {
		t.Errorf("%d sidecars, want 3", n)
	}
}

// TestInverse takes out what was put in: the original remains. Putting in twice
// is putting in once.
func TestInverse(t *testing.T) {
	original := apps(t)
	once, _ := stream(t, original, Injecting(settings))
	if twice, _ := stream(t, once, Injecting(settings)); twice != once {
		t.Errorf("injecting twice: %s", cmp.Diff(once, twice))
	}
	newer := settings
	newer.Version, newer.Image = "2", "leno-proxy:2"
	fresh, _ := stream(t, original, Injecting(newer))
	again, _ := stream(t, once, Injecting(newer))
	if diff := cmp.Diff(decoded(t, fresh), decoded(t, again)); diff != "" {
		t.Error("another version over the first: ", diff)
	}
	back, _ := stream(t, once, Removing())
	if diff := cmp.Diff(decoded(t, original), decoded(t, back)); diff != "" {
		t.Error("after taking out: ", diff)
	}
}

// tree of a pod in YAML, as JSON has it.
func podOf(t *testing.T, text string) map[string]any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	pod, err := normal(v)
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

func TestPodShape(t *testing.T) {
	out, err := Pod(podOf(t, `{spec: {initContainers: [{name: own}], containers: [{name: a}]}}`), settings)
	if err != nil {
		t.Fatal(err)
	}
	spec := sub(out.Pod, "spec")
	inits := objects(spec, "initContainers")
	if len(inits) != 3 || inits[0]["name"] != InitContainer || inits[1]["name"] != ProxyContainer || inits[2]["name"] != "own" {
		t.Fatalf("init containers %v", inits)
	}
	capture, proxy := sub(inits[0], "securityContext"), sub(inits[1], "securityContext")
	if diff := cmp.Diff([]any{"NET_ADMIN"}, sub(capture, "capabilities")["add"]); diff != "" {
		t.Error(diff)
	}
	if _, has := sub(proxy, "capabilities")["add"]; has || number(proxy["runAsUser"]) != "2102" || proxy["readOnlyRootFilesystem"] != true ||
		proxy["allowPrivilegeEscalation"] != false || text(sub(proxy, "seccompProfile"), "type") != "RuntimeDefault" {
		t.Errorf("the proxy's security: %v", proxy)
	}
	if inits[1]["restartPolicy"] != "Always" {
		t.Error("the proxy is no sidecar")
	}
	cni := settings
	cni.CNI = true
	if out, err = Pod(out.Pod, cni); err != nil || len(objects(sub(out.Pod, "spec"), "initContainers")) != 2 {
		t.Errorf("with a CNI plugin: %v, %v", out.Pod, err)
	}
}

func TestRefused(t *testing.T) {
	for _, test := range []struct{ annotation, value, want string }{
		{"log-level", "loud", `annotation leno.dev/log-level: "loud" is none of them; want ` + "`debug`"},
		{"inject", "true", "want `enabled` or `disabled`"},
		{"skip-inbound-ports", "80,x", `has the port "x"`},
		{"skip-outbound-ports", "90-80", `has the range "90-80"`},
		{"protocol", "80=soap", `has the protocol "soap"`},
		{"certificate-lifetime", "1s", "is under 10 s"},
		{"proxy-memory-limit", "much", "is no quantity above zero"},
	} {
		pod := podOf(t, `{spec: {containers: [{name: a}]}}`)
		child(child(pod, "metadata"), "annotations")[Prefix+test.annotation] = test.value
		if _, err := Pod(pod, settings); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s=%s: %v", test.annotation, test.value, err)
		}
	}
	if _, err := Pod(podOf(t, `{spec: {}}`), settings); err == nil {
		t.Error("no error for a pod without containers")
	}
}

func TestWarnings(t *testing.T) {
	out, err := Pod(podOf(t, `{metadata: {annotations: {leno.dev/loglevel: debug}}, spec: {containers: [{name: a, securityContext: {runAsUser: 2102}}]}}`), settings)
	if err != nil || len(out.Warnings) != 2 || !strings.Contains(out.Warnings[0], "leno.dev/loglevel is not known") || !strings.Contains(out.Warnings[1], "container a runs as user 2102") {
		t.Errorf("%v, %v", out.Warnings, err)
	}
}

func TestStreamErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a: b\n---\nkind: Deployment\nmetadata: {name: x}\nspec: {}":                                   "document 2: Deployment x: it has no spec.template",
		"kind: Pod\nspec: {containers: [{a: b}]\n":                                                     "document 1: ",
		"kind: Pod\nmetadata: {annotations: {leno.dev/inject: 'on'}}\nspec: {containers: [{name: a}]}": "want `enabled`",
	} {
		if _, err := Stream(strings.NewReader(text), io.Discard, Injecting(settings)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// TestPage holds the page about annotations to the table in the code.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/annotations.md")
	if err != nil {
		t.Fatal(err)
	}
	var rows strings.Builder
	for _, a := range Annotations() {
		fmt.Fprintf(&rows, "| `%s%s` | %s | %s | %s |\n", Prefix, a.Name, a.Value, a.Default, a.What)
	}
	if !strings.Contains(string(page), rows.String()) {
		t.Errorf("docs/annotations.md should have these rows:\n%s", &rows)
	}
}

// TestDiff applies the patch of every pair to the first, which gives the second.
func TestDiff(t *testing.T) {
	values := []string{
		`{}`, `{"a":1}`, `{"a":{"b/c":[1,2]}}`, `{"a":{"b/c":[0,1,2],"~":null}}`, `{"a":{"b/c":[1,2,3]}}`, `{"a":{"b/c":[2]}}`, `{"a":{"b/c":[1,5]}}`,
		`{"a":{"b/c":[{"x":1},{"y":2}]}}`, `{"a":{"b/c":[{"x":1},{"y":3}]}}`,
	}
	for _, a := range values {
		for _, b := range values {
			var from, to tree
			if json.Unmarshal([]byte(a), &from) != nil || json.Unmarshal([]byte(b), &to) != nil {
				t.Fatal(a, b)
			}
			var n yaml.Node
			if err := n.Encode(from); err != nil {
				t.Fatal(err)
			}
			for _, op := range Diff(from, to) {
				if err := apply(&n, op); err != nil {
					t.Fatalf("%s to %s: %+v: %v", a, b, op, err)
				}
			}
			var out any
			if err := n.Decode(&out); err != nil {
				t.Fatal(err)
			}
			if got, err := normal(out); err != nil || !cmp.Equal(got, to) {
				t.Errorf("%s to %s gives %v", a, b, got)
			}
		}
	}
}

func FuzzStream(f *testing.F) {
	f.Add("kind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a}]}\n---\nx: &a [1]\ny: *a\n")
	f.Add("kind: List\nitems: [{kind: Job, spec: {template: {spec: {containers: [{}]}}}}]")
	f.Add("--- {kind: Pod, spec: {containers: [1]}}\n")
	f.Fuzz(func(t *testing.T, text string) {
		var once, twice strings.Builder
		lines, err := Stream(strings.NewReader(text), &once, Injecting(settings))
		if err != nil || len(lines) == 0 {
			return
		}
		if _, err := Stream(strings.NewReader(once.String()), &twice, Injecting(settings)); err != nil {
			t.Fatalf("again: %v\n%s", err, once.String())
		}
		if once.String() != twice.String() {
			t.Errorf("injecting twice:\n%s\n%s", once.String(), twice.String())
		}
	})
}
