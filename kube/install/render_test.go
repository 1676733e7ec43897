package install

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"sigs.k8s.io/yaml"

	"github.com/leno-mesh/leno/schema"
)

var update = flag.Bool("update", false, "write the golden files")

func TestRender(t *testing.T) {
	for name, p := range map[string]Params{
		"defaults": {Version: "1.2.3"},
		"everything": {Version: "1.2.3", Namespace: "mesh", Values: Values{
			"createNamespace": true, "replicas": 2, "trustDomain": "example.org", "networks": []any{"10.0.0.0/8", "fd00::/8"},
			"image":   map[string]any{"registry": "", "tag": "9", "pullPolicy": "Never", "pullSecrets": []any{"key"}},
			"webhook": map[string]any{"failurePolicy": "Fail", "timeoutSeconds": 10}, "priorityClassName": "system-cluster-critical",
			"nodeSelector": map[string]any{"role": "infra"}, "tolerations": []any{map[string]any{"key": "infra", "operator": "Exists"}},
			"podLabels": map[string]any{"team": "mesh"}, "podAnnotations": map[string]any{"a/b": "c"},
			"affinity": map[string]any{"nodeAffinity": map[string]any{}},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := Render(p)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := WriteYAML(&b, objects); err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join("testdata", name+".yaml"), b.Bytes())
		})
	}
}

// TestOrder checks that what is applied comes after what it needs.
func TestOrder(t *testing.T) {
	objects, err := Render(Params{Values: Values{"createNamespace": true}})
	if err != nil {
		t.Fatal(err)
	}
	var kinds []string
	for _, o := range objects {
		kinds = append(kinds, o.GetKind())
	}
	if kinds[0] != "Namespace" || kinds[len(kinds)-1] != "MutatingWebhookConfiguration" {
		t.Errorf("order %v", kinds)
	}
}

func TestValuesAreChecked(t *testing.T) {
	for _, c := range []struct {
		set, want string
	}{
		{"replica=2", "replica"},
		{"replicas=0", "replicas"},
		{"webhook.failurePolicy=Maybe", "failurePolicy"},
		{"image.pullpolicy=Never", "pullpolicy"},
		{"logLevel=loud", "logLevel"},
		{"certificateLifetime=soon", "certificateLifetime"},
		{"networks={here}", "networks"},
	} {
		v, err := ReadValues(nil, nil, []string{c.set})
		if err != nil {
			t.Fatal(err)
		}
		if _, err = Render(Params{Values: v}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q in it", c.set, err, c.want)
		}
	}
}

func TestReadValues(t *testing.T) {
	in := "image: {tag: a, registry: r}\nreplicas: 2\n"
	got, err := ReadValues(strings.NewReader(in), []string{"-"}, []string{"image.tag=b", "networks={10.0.0.0/8}"})
	if err != nil {
		t.Fatal(err)
	}
	want := Values{
		"image": map[string]any{"tag": "b", "registry": "r"}, "replicas": float64(2), "networks": []any{"10.0.0.0/8"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"replicas", "a[x]=1"} {
		if _, err := ReadValues(nil, nil, []string{bad}); err == nil {
			t.Errorf("--set %s was taken", bad)
		}
	}
}

// TestSchemaOfPolicies checks that the API server takes what schema takes, and
// refuses what it refuses, so that nobody learns about a mistake only from the
// server's log.
func TestSchemaOfPolicies(t *testing.T) {
	text, err := chartFiles.ReadFile("chart/files/accesspolicy.schema.yaml")
	if err != nil {
		t.Fatal(err)
	}
	rules, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	for spec, good := range map[string]bool{
		`{service: web, allow: {identities: []}}`: true,
		`{service: web, allow: {}}`:               true,
		`{service: web}`:                          false,
		`{allow: {}}`:                             false,
		`{service: web, selector: {}, allow: {}}`: false,
		`{selector: {}, allow: {}}`:               true,
		`{selector: {matchLabels: {app: web}}, ports: [1, 65535], mode: Audit, allow: {}}`:      true,
		`{selector: {matchLabels: {app: 1}}, allow: {}}`:                                        false,
		`{service: web, ports: [0], allow: {}}`:                                                 false,
		`{service: web, ports: [65536], allow: {}}`:                                             false,
		`{service: web, ports: ["80"], allow: {}}`:                                              false,
		`{service: Web, allow: {}}`:                                                             false,
		`{service: -web, allow: {}}`:                                                            false,
		`{service: web.shop, allow: {}}`:                                                        false,
		`{service: web, mode: audit, allow: {}}`:                                                false,
		`{service: web, mode: Enforce, allow: {}}`:                                              true,
		`{service: web, allow: {identities: ["*"]}}`:                                            true,
		`{service: web, allow: {identities: [shop/cart, shop/*, a.b/c.d]}}`:                     true,
		`{service: web, allow: {identities: ["spiffe://x/ns/a/sa/b", "spiffe://x/ns/a/sa/*"]}}`: true,
		`{service: web, allow: {identities: [cart]}}`:                                           false,
		`{service: web, allow: {identities: [Shop/cart]}}`:                                      false,
		`{service: web, allow: {identities: ["*/cart"]}}`:                                       false,
		`{service: web, allow: {identities: [shop/cart/x]}}`:                                    false,
		`{service: web, allow: {identities: ["spiffe://x/ns/a"]}}`:                              false,
		`{service: web, allow: {identities: ["spiffe://X/ns/a/sa/b"]}}`:                         false,
		`{service: web, allow: {identities: ["spiffe://x/ns/A/sa/b"]}}`:                         false,
		`{service: web, allow: {identities: [5]}}`:                                              false,
	} {
		doc := "apiVersion: leno.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: p, namespace: shop}\nspec: " + spec + "\n"
		_, err := schema.Parse("test.yaml", []byte(doc))
		if (err == nil) != good {
			t.Errorf("schema and this table differ about %s: %v", spec, err)
		}
		var value map[string]any
		if err := yaml.Unmarshal([]byte(doc), &value); err != nil {
			t.Fatal(err)
		}
		if err := util.ValidateAgainstSingleSchema(value, rules); (err == nil) != good {
			t.Errorf("the definition in the chart is wrong about %s: %v", spec, err)
		}
	}
}

func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, got, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("%s is another one (rewrite with -update):\n%s", file, diff)
	}
}
