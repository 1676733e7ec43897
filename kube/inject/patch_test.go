package inject

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	jsonpatch "gopkg.in/evanphx/json-patch.v4"
	"gopkg.in/yaml.v3"
	"pgregory.net/rapid"
)

// checkPatch has the API server's own library, and apply, make one tree of the
// other by the steps between them.
func checkPatch(t rapid.TB, from, to tree) {
	t.Helper()
	ops := Diff(from, to)
	text, err := json.Marshal(ops)
	if err != nil {
		t.Fatal(err)
	}
	if ops == nil {
		text = []byte("[]")
	}
	patch, err := jsonpatch.DecodePatch(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	before, err := json.Marshal(from)
	if err != nil {
		t.Fatal(err)
	}
	after, err := patch.Apply(before)
	if err != nil {
		t.Fatalf("%s on %s: %v", text, before, err)
	}
	var got tree
	if err := json.Unmarshal(after, &got); err != nil || !cmp.Equal(got, to) {
		t.Fatalf("%s gives %s: %v %s", text, after, err, cmp.Diff(to, got))
	}

	var n yaml.Node
	if err := n.Encode(from); err != nil {
		t.Fatal(err)
	}
	for _, op := range ops {
		if err := apply(&n, op); err != nil {
			t.Fatalf("%+v: %v", op, err)
		}
	}
	var out any
	if err := n.Decode(&out); err != nil {
		t.Fatal(err)
	}
	if got, err := normal(out); err != nil || !cmp.Equal(got, to) {
		t.Fatalf("%s gives %v in YAML: %v", text, got, err)
	}
}

func TestDiff(t *testing.T) {
	values := []string{
		`{}`, `{"a":1}`, `{"a":{"b/c":[1,2]}}`, `{"a":{"b/c":[0,1,2],"~":null}}`, `{"a":{"b/c":[1,2,3]}}`, `{"a":{"b/c":[2]}}`, `{"a":{"b/c":[1,5]}}`,
		`{"a":{"b/c":[{"x":1},{"y":2}]}}`, `{"a":{"b/c":[{"x":1},{"y":null}]}}`, `{"a":[]}`, `{"a":null}`,
	}
	for _, a := range values {
		for _, b := range values {
			var from, to tree
			if json.Unmarshal([]byte(a), &from) != nil || json.Unmarshal([]byte(b), &to) != nil {
				t.Fatal(a, b)
			}
			checkPatch(t, from, to)
		}
	}
}

// TestAnyPod holds for pods that nobody thought of: what was put in can be
// taken out, twice is once, and the patch makes the one of the other.
func TestAnyPod(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pod, err := normal(drawPod(t))
		if err != nil {
			t.Fatal(err)
		}
		original, _ := clone(pod).(tree)
		once, err := Pod(pod, settings)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(original, pod); diff != "" {
			t.Fatal("the pod given was changed: ", diff)
		}
		if once.Skipped != "" {
			return
		}
		checkPatch(t, pod, once.Pod)
		twice, err := Pod(once.Pod, settings)
		if diff := cmp.Diff(once, twice); err != nil || diff != "" {
			t.Fatal("twice: ", err, diff)
		}
		back, _ := clone(once.Pod).(tree)
		if !Remove(back) {
			t.Fatal("nothing to take out")
		}
		if back, err = normal(back); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(original, back); diff != "" {
			t.Fatal("taken out: ", diff)
		}
	})
}

// drawPod leaves out empty lists and objects, which are gone after Remove.
func drawPod(t *rapid.T) tree {
	spec := tree{"containers": drawContainers(t, 1)}
	if l := drawContainers(t, 0); len(l) > 0 {
		spec["initContainers"] = l
	}
	maybe(t, spec, "volumes", []any{tree{"name": "data", "emptyDir": tree{}}})
	maybe(t, spec, "hostNetwork", rapid.Bool().Draw(t, "host"))
	maybe(t, spec, "restartPolicy", "Never")
	maybe(t, spec, "securityContext", tree{"runAsUser": rapid.SampledFrom([]int{0, 1000, ProxyUser}).Draw(t, "user")})
	metadata := tree{}
	maybe(t, metadata, "name", "a")
	maybe(t, metadata, "annotations", tree{"a/b~c": "d", Prefix + "log-level": "debug"})
	maybe(t, metadata, "labels", tree{Inject: rapid.SampledFrom([]string{Enabled, Disabled}).Draw(t, "inject")})
	pod := tree{"spec": spec}
	if len(metadata) > 0 {
		pod["metadata"] = metadata
	}
	maybe(t, pod, "future", []any{1, nil, tree{"x": nil}})
	return pod
}

func maybe(t *rapid.T, into tree, key string, v any) {
	if rapid.Bool().Draw(t, key) {
		into[key] = v
	}
}

func drawContainers(t *rapid.T, least int) []any {
	var all []any
	for range rapid.IntRange(least, 3).Draw(t, "containers") {
		c := tree{"name": rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "name")}
		maybe(t, c, "ports", []any{tree{"name": "web", "containerPort": 80}, tree{"containerPort": 53, "protocol": "UDP"}})
		maybe(t, c, "restartPolicy", "Always")
		for _, kind := range []string{"livenessProbe", "readinessProbe", "startupProbe"} {
			maybe(t, c, kind, rapid.SampledFrom([]tree{
				{"tcpSocket": tree{"port": 80}},
				{"tcpSocket": tree{"port": "web"}, "periodSeconds": 5},
				{"tcpSocket": tree{"port": "80"}},
				{"tcpSocket": tree{"port": "nowhere"}},
				{"tcpSocket": tree{"port": 80, "host": "127.0.0.1"}},
				{"tcpSocket": tree{}},
				{"httpGet": tree{"port": 80, "path": "/"}},
				{"httpGet": tree{"port": 4191, "path": "/ready"}},
				{"grpc": tree{"port": 80}},
				{"exec": tree{"command": []any{"x"}}},
				{},
			}).Draw(t, kind))
		}
		all = append(all, c)
	}
	return all
}
