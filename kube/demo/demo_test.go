package demo

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/leno-mesh/leno/kube/fakeapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// cluster is a fake API server where a Deployment is ready at once, and its pods
// have what the webhook gives.
type cluster struct {
	*fakeapi.Server
	webhook  bool  // whether it answers
	restarts int64 // of each program
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{Server: fakeapi.New(t), webhook: true}
	c.Put(object("v1", "Namespace", "", "leno-system", nil))
	server := object("apps/v1", "Deployment", "leno-system", "leno-server", nil)
	server["spec"] = map[string]any{"template": map[string]any{"spec": map[string]any{
		"containers": []any{map[string]any{"name": "server", "image": "registry.example/leno:1.2.3", "imagePullPolicy": "Always"}},
	}}}
	c.Put(server)
	c.OnWrite = func(o *unstructured.Unstructured, _ bool) {
		if o.GetKind() == "Deployment" {
			c.roll(o)
		}
	}
	return c
}

func (c *cluster) roll(o *unstructured.Unstructured) {
	replicas, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
	o.Object["status"] = map[string]any{"replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas}
	for n := range replicas {
		pod := object("v1", "Pod", o.GetNamespace(), fmt.Sprintf("%s-%d", o.GetName(), n), nil)
		if c.webhook {
			pod["spec"] = map[string]any{"initContainers": []any{map[string]any{"name": "leno-proxy", "image": "leno-proxy"}}}
		}
		pod["status"] = map[string]any{"containerStatuses": []any{map[string]any{
			"name": "app", "restartCount": c.restarts,
			"lastState": map[string]any{"terminated": map[string]any{"exitCode": int64(137), "reason": "OOMKilled"}},
		}}}
		c.Put(pod)
	}
}

func object(apiVersion, kind, namespace, name string, labels map[string]any) map[string]any {
	m := map[string]any{"name": name}
	if namespace != "" {
		m["namespace"] = namespace
	}
	if labels != nil {
		m["labels"] = labels
	}
	return map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": m}
}

// play is the demo of two programs, one of which only calls.
func (c *cluster) play(t *testing.T) *Play {
	return New(Config{
		Client: c.Access(t).Client, Leno: "leno-system", Place: "here", Wait: time.Minute, Note: t.Logf,
		Parts: []Part{
			{Name: "load", Args: []string{"demo-app", "--name", "load"}, Replicas: 1},
			{Name: "web", Args: []string{"demo-app", "--name", "web"}, Port: 8080, Replicas: 2},
		},
	})
}

// TestPlay checks what there is during a play, and that nothing is left of it,
// nor of one before it that was cut off.
func TestPlay(t *testing.T) {
	for name, left := range map[string]bool{"first": false, "after one that was cut off": true} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			before := c.Objects()
			if left {
				c.Put(object("v1", "Namespace", "", Namespace, map[string]any{labelManagedBy: manager}))
				c.Put(object("v1", "ServiceAccount", Namespace, "web", nil))
			}
			p := c.play(t)
			if err := p.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			want := slices.Concat(before, []string{
				"Namespace /leno-demo", "ServiceAccount leno-demo/web", "ServiceAccount leno-demo/load", "Service leno-demo/web",
				"Deployment leno-demo/web", "Deployment leno-demo/load", "Pod leno-demo/web-0", "Pod leno-demo/web-1", "Pod leno-demo/load-0",
			})
			slices.Sort(want)
			if got := c.Objects(); !slices.Equal(got, want) {
				t.Errorf("objects\n%q, want\n%q", got, want)
			}
			if n := c.Get("v1", "Namespace", "", Namespace); n.GetLabels()["leno.dev/inject"] != "enabled" {
				t.Errorf("labels of the namespace: %v", n.GetLabels())
			}
			c.runsTheServersImage(t)
			if err := p.Died(t.Context()); err != nil {
				t.Error(err)
			}
			if err := p.End(t.Context()); err != nil {
				t.Fatal(err)
			}
			if after := c.Objects(); !slices.Equal(before, after) {
				t.Errorf("before\n%q, after\n%q", before, after)
			}
			if err := p.End(t.Context()); err != nil {
				t.Errorf("a second time: %v", err)
			}
		})
	}
}

func (c *cluster) runsTheServersImage(t *testing.T) {
	t.Helper()
	d := c.Get("apps/v1", "Deployment", Namespace, "web")
	all, _, _ := unstructured.NestedSlice(d.Object, "spec", "template", "spec", "containers")
	app := all[0].(map[string]any)
	if app["image"] != "registry.example/leno:1.2.3" || app["imagePullPolicy"] != "Always" || fmt.Sprint(app["args"]) != "[demo-app --name web]" {
		t.Errorf("the program is %v", app)
	}
}

// TestCallersComeLast checks that those who only call find somebody.
func TestCallersComeLast(t *testing.T) {
	c := newCluster(t)
	var made []string
	roll := c.OnWrite
	c.OnWrite = func(o *unstructured.Unstructured, dry bool) {
		if o.GetKind() == "Deployment" {
			made = append(made, o.GetName())
		}
		roll(o, dry)
	}
	if err := c.play(t).Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(made, []string{"web", "load"}) {
		t.Errorf("made %q", made)
	}
}

func TestRefusals(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(*cluster)
		want    string
	}{
		"no Leno": {func(c *cluster) {
			c.OnWrite = nil
			server := object("apps/v1", "Deployment", "leno-system", "other", nil)
			c.Server = fakeapi.New(t)
			c.Put(server)
		}, "leno install"},
		"somebody else's namespace": {func(c *cluster) {
			c.Put(object("v1", "Namespace", "", Namespace, nil))
			c.Put(object("v1", "ServiceAccount", Namespace, "precious", nil))
		}, "that the demo did not make"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			test.prepare(c)
			before := c.Objects()
			p := c.play(t)
			if err := p.Start(t.Context()); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
			if err := p.End(t.Context()); err != nil {
				t.Error(err)
			}
			if after := c.Objects(); !slices.Equal(before, after) {
				t.Errorf("before\n%q, after\n%q", before, after)
			}
		})
	}
}

func TestNoProxy(t *testing.T) {
	c := newCluster(t)
	c.webhook = false
	err := c.play(t).Start(t.Context())
	if err == nil || !strings.Contains(err.Error(), "no proxy to load-0, web-0, web-1") {
		t.Errorf("got %v", err)
	}
}

func TestDied(t *testing.T) {
	c := newCluster(t)
	c.restarts = 1
	p := c.play(t)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.Died(t.Context()); err == nil || !strings.Contains(err.Error(), "container app of pod load-0 died with exit status 137 (OOMKilled)") {
		t.Errorf("got %v", err)
	}
}
