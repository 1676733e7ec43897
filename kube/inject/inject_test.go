package inject

import (
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
		{"skip-inbound-ports", "80,x", `has port "x": want a number`},
		{"skip-inbound-ports", "0", `has port "0"`},
		{"skip-outbound-ports", "90-80", `has ports "90-80": want two numbers, the smaller first`},
		{"protocol", "80=soap", `has the protocol "soap"`},
		{"protocol", "http", `has the port "http"`},
		{"certificate-lifetime", "1s", "is under 10 s"},
		{"certificate-lifetime", "soon", "is no duration"},
		{"proxy-cpu-limit", "0", "is no quantity above zero"},
		{"proxy-memory-limit", "much", "is no quantity above zero"},
		{"proxy-memory-limit", "1Mi", "is under 32Mi"},
		{"proxy-limits", "resets=9000,nothing=1", `has "nothing=1", which is no limit that can be set`},
		{"proxy-limits", "resets=0", `has "resets=0", which is not between 1 and`},
		{"proxy-limits", "resets", `has "resets", which is not NAME=NUMBER`},
		{"proxy-memory-request", "1Gi", `"1Gi" is over the limit, "64Mi"`},
	} {
		pod := podOf(t, `{spec: {containers: [{name: a}]}}`)
		annotations := child(child(pod, "metadata"), "annotations")
		annotations[Prefix+test.annotation] = test.value
		if test.annotation == "proxy-memory-request" {
			annotations[Prefix+"proxy-memory-limit"] = "64Mi"
		}
		if _, err := Pod(pod, settings); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s=%s: %v", test.annotation, test.value, err)
		}
	}
	for pod, want := range map[string]string{
		`{spec: {}}`: "no spec with containers",
		`{metadata: {labels: {leno.dev/inject: "true"}}, spec: {containers: [{name: a}]}}`:                               `label leno.dev/inject: "true" is neither; want enabled or disabled`,
		`{metadata: {annotations: {leno.dev/log-level: x, leno.dev/certificate-lifetime: y}}, spec: {containers: [{}]}}`: "is no duration; want a duration, `1h`\nannotation leno.dev/log-level: \"x\"",
	} {
		if _, err := Pod(podOf(t, pod), settings); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", pod, err, want)
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
