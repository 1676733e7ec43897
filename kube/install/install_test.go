package install

import (
	"context"
	"errors"
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

// cluster is a fake API server with the controllers that an installation
// needs: a server that becomes ready and makes its objects, and a webhook that
// answers.
type cluster struct {
	*fakeapi.Server
	t *testing.T
}

func newCluster(t *testing.T) *cluster {
	c := &cluster{Server: fakeapi.New(t), t: t}
	c.Put(object("v1", "Namespace", "", "default"))
	c.OnWrite = func(o *unstructured.Unstructured, dryRun bool) {
		switch o.GetKind() {
		case "Deployment":
			c.roll(o)
		case "MutatingWebhookConfiguration":
			c.vouch(o)
		case "Pod":
			if dryRun {
				_ = unstructured.SetNestedSlice(o.Object, []any{map[string]any{"name": "leno-proxy"}}, "spec", "initContainers")
			}
		}
	}
	return c
}

// roll makes a deployment ready, and what the server makes when it starts.
func (c *cluster) roll(o *unstructured.Unstructured) {
	replicas, _, _ := unstructured.NestedInt64(o.Object, "spec", "replicas")
	o.Object["status"] = map[string]any{"replicas": replicas, "updatedReplicas": replicas, "availableReplicas": replicas}
	for _, name := range serverSecrets {
		c.Put(ours(object("v1", "Secret", o.GetNamespace(), name)))
	}
	c.Put(ours(object("coordination.k8s.io/v1", "Lease", o.GetNamespace(), "leno-server")))
	c.Put(ours(object("v1", "ConfigMap", "default", bundleName)))
}

func (c *cluster) vouch(o *unstructured.Unstructured) {
	hooks, _, _ := unstructured.NestedSlice(o.Object, "webhooks")
	for _, h := range hooks {
		_ = unstructured.SetNestedField(h.(map[string]any), "Q0E=", "clientConfig", "caBundle")
	}
	o.Object["webhooks"] = hooks
}

func object(apiVersion, kind, namespace, name string) map[string]any {
	m := map[string]any{"name": name}
	if namespace != "" {
		m["namespace"] = namespace
	}
	return map[string]any{"apiVersion": apiVersion, "kind": kind, "metadata": m}
}

func ours(o map[string]any) map[string]any {
	o["metadata"].(map[string]any)["labels"] = map[string]any{labelPartOf: partOf}
	return o
}

// installer is of a version.
func (c *cluster) installer(version string) *Installer {
	return New(Config{
		Access: c.Access(c.t), Version: version, Wait: time.Minute,
		Note: c.t.Logf,
	})
}

func (c *cluster) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *cluster) image() string {
	c.t.Helper()
	d := c.Get("apps/v1", "Deployment", DefaultNamespace, serverName)
	if d == nil {
		c.t.Fatal("no Deployment")
	}
	containers, _, _ := unstructured.NestedSlice(d.Object, "spec", "template", "spec", "containers")
	image, _ := containers[0].(map[string]any)["image"].(string)
	return image
}

func TestInstallAndUninstallLeaveNothing(t *testing.T) {
	c := newCluster(t)
	before := c.Objects()
	c.must(c.installer("1.0.0").Install(t.Context(), Values{"replicas": 2}))
	if got := c.image(); got != "ghcr.io/leno-mesh/leno:1.0.0" {
		t.Errorf("image %s", got)
	}
	c.must(c.installer("1.0.0").Install(t.Context(), Values{"replicas": 2})) // again

	report, err := c.installer("1.0.0").Uninstall(t.Context(), false)
	c.must(err)
	if len(report.Left) > 0 || report.Kinds < 10 || !slices.Contains(report.Names, "Secret leno-system/leno-issuer") {
		t.Errorf("report %+v", report)
	}
	if after := c.Objects(); !slices.Equal(before, after) {
		t.Errorf("before %q, after %q", before, after)
	}
	_, err = c.installer("1.0.0").Uninstall(t.Context(), false) // again
	c.must(err)
}

// TestForeignNamespace checks that a namespace that somebody made stays, with
// what is theirs in it.
func TestForeignNamespace(t *testing.T) {
	c := newCluster(t)
	c.Put(object("v1", "Namespace", "", DefaultNamespace))
	c.Put(object("v1", "Secret", DefaultNamespace, "theirs"))
	before := c.Objects()
	c.must(c.installer("1.0.0").Install(t.Context(), nil))
	if n := c.Get("v1", "Namespace", "", DefaultNamespace); len(n.GetLabels()) > 0 {
		t.Errorf("labels were added: %v", n.GetLabels())
	}
	_, err := c.installer("1.0.0").Uninstall(t.Context(), false)
	c.must(err)
	if after := c.Objects(); !slices.Equal(before, after) {
		t.Errorf("before %q, after %q", before, after)
	}
}

func TestUpgradeKeepsValuesAndPrunes(t *testing.T) {
	c := newCluster(t)
	c.must(c.installer("1.0.0").Install(t.Context(), Values{"replicas": 2, "logLevel": "debug"}))
	if c.Get("policy/v1", "PodDisruptionBudget", DefaultNamespace, serverName) == nil {
		t.Fatal("two replicas without a budget")
	}
	c.must(c.installer("1.1.0").Upgrade(t.Context(), Values{"replicas": 1}, false))
	if c.Get("policy/v1", "PodDisruptionBudget", DefaultNamespace, serverName) != nil {
		t.Error("the budget is still there")
	}
	if got := c.image(); got != "ghcr.io/leno-mesh/leno:1.1.0" {
		t.Errorf("image %s", got)
	}
	r, err := c.installer("1.1.0").loadRecord(t.Context())
	c.must(err)
	if r.Version != "1.1.0" || !r.Complete || r.Values["logLevel"] != "debug" {
		t.Errorf("record %+v", r)
	}
	c.must(c.installer("1.1.0").Upgrade(t.Context(), nil, true))
	if r, _ = c.installer("1.1.0").loadRecord(t.Context()); len(r.Values) > 0 {
		t.Errorf("values %v after a reset", r.Values)
	}
}

// TestInterrupted fails each request that writes, one after another; the next
// run must finish what the last one could not.
func TestInterrupted(t *testing.T) {
	c := newCluster(t)
	before := c.Objects()
	for step := range 40 {
		writes := 0
		c.Denied = func(q fakeapi.Request) bool {
			if q.Verb == "patch" || q.Verb == "delete" {
				writes++
			}
			return writes > step && (q.Verb == "patch" || q.Verb == "delete")
		}
		installed := c.installer("1.0.0").Install(t.Context(), nil)
		c.Denied = nil
		if installed != nil {
			c.must(c.installer("1.0.0").Install(t.Context(), nil))
		}
		writes = 0
		c.Denied = func(q fakeapi.Request) bool {
			if q.Verb == "delete" {
				writes++
			}
			return writes > step && q.Verb == "delete"
		}
		_, uninstalled := c.installer("1.0.0").Uninstall(t.Context(), false)
		c.Denied = nil
		if uninstalled != nil {
			_, err := c.installer("1.0.0").Uninstall(t.Context(), false)
			c.must(err)
		}
		if after := c.Objects(); !slices.Equal(before, after) {
			t.Fatalf("cut off after %d writes: before %q, after %q", step, before, after)
		}
		if installed == nil && uninstalled == nil {
			return // nothing was cut off any more
		}
	}
	t.Error("more writes than there are steps")
}

func TestRefusals(t *testing.T) {
	helm := object("apps/v1", "Deployment", DefaultNamespace, serverName)
	helm["metadata"].(map[string]any)["labels"] = map[string]any{labelManagedBy: managedByHelm}
	helm["metadata"].(map[string]any)["annotations"] = map[string]any{"meta.helm.sh/release-name": "mesh"}
	elsewhere := object("rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "", serverName)
	elsewhere["subjects"] = []any{map[string]any{"kind": "ServiceAccount", "name": serverName, "namespace": "mesh"}}
	meshed := object("v1", "Pod", "default", "web-1")
	meshed["spec"] = map[string]any{"initContainers": []any{map[string]any{"name": "leno-proxy"}}}

	install := func(i *Installer, t *testing.T) error { return i.Install(t.Context(), nil) }
	upgrade := func(i *Installer, t *testing.T) error { return i.Upgrade(t.Context(), nil, false) }
	uninstall := func(i *Installer, t *testing.T) error {
		_, err := i.Uninstall(t.Context(), false)
		return err
	}
	for name, c := range map[string]struct {
		objects []map[string]any
		do      func(*Installer, *testing.T) error
		want    string
	}{
		"install over Helm":      {[]map[string]any{helm}, install, "use helm upgrade"},
		"upgrade over Helm":      {[]map[string]any{helm}, upgrade, "use helm upgrade"},
		"uninstall under Helm":   {[]map[string]any{helm}, uninstall, "helm uninstall -n leno-system mesh"},
		"install elsewhere":      {[]map[string]any{elsewhere}, install, "--leno-namespace mesh"},
		"upgrade nothing":        {nil, upgrade, "use leno install"},
		"uninstall under a mesh": {[]map[string]any{meshed}, uninstall, "kubectl label namespace default leno.dev/inject-"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newCluster(t)
			for _, o := range c.objects {
				f.Put(o)
			}
			before := f.Objects()
			err := c.do(f.installer("1.0.0"), t)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q in it", err, c.want)
			}
			if after := f.Objects(); !slices.Equal(before, after) {
				t.Errorf("something was changed: before %q, after %q", before, after)
			}
		})
	}
}

func TestSecondInstall(t *testing.T) {
	c := newCluster(t)
	c.must(c.installer("1.0.0").Install(t.Context(), nil))
	if err := c.installer("1.1.0").Install(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "use leno upgrade") {
		t.Errorf("another version: %v", err)
	}
	if err := c.installer("1.0.0").Install(t.Context(), Values{"replicas": 2}); err == nil || !strings.Contains(err.Error(), "use leno upgrade") {
		t.Errorf("other values: %v", err)
	}
}

func TestUninstallWithPolicies(t *testing.T) {
	c := newCluster(t)
	c.must(c.installer("1.0.0").Install(t.Context(), nil))
	c.Put(object("leno.dev/v1alpha1", "AccessPolicy", "default", "payments"))
	_, err := c.installer("1.0.0").Uninstall(t.Context(), false)
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), "default/payments") {
		t.Fatalf("got %v", err)
	}
	report, err := c.installer("1.0.0").Uninstall(t.Context(), true)
	c.must(err)
	if len(report.Left) > 0 {
		t.Errorf("left: %v", report.Left)
	}
}

// TestWaitSaysWhat checks that a server that does not come up is told about,
// with what its pod says.
func TestWaitSaysWhat(t *testing.T) {
	c := newCluster(t)
	c.OnWrite = func(o *unstructured.Unstructured, _ bool) {
		if o.GetKind() != "Deployment" {
			return
		}
		p := ours(object("v1", "Pod", o.GetNamespace(), "leno-server-1"))
		p["metadata"].(map[string]any)["labels"] = map[string]any{labelName: serverName, labelPartOf: partOf}
		p["status"] = map[string]any{"containerStatuses": []any{map[string]any{
			"name": "server", "state": map[string]any{"waiting": map[string]any{"reason": "ImagePullBackOff", "message": "no such image"}},
		}}}
		c.Put(p)
	}
	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	const want = "Deployment leno-server: 0 of 1 ready (ImagePullBackOff: no such image)"
	said := false
	i := c.installer("1.0.0")
	i.cfg.Note = func(format string, args ...any) {
		if strings.Contains(fmt.Sprintf(format, args...), want) {
			said = true
			enough()
		}
	}
	if err := i.Install(ctx, nil); !said {
		t.Errorf("nobody said %q, and then %v", want, err)
	}
}
