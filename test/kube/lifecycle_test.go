package kube_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/control/ca"
	"github.com/leno-mesh/leno/test/harness"
	"github.com/leno-mesh/leno/test/kube"
)

// cli runs leno as a person does who has the cluster's kubeconfig, and gives
// what it wrote and its exit status.
func cli(t *testing.T, c *kube.Cluster, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), harness.Binary(t, "leno"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "LENO_SOCKET=", "XDG_RUNTIME_DIR="+t.TempDir())
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), complaint.String(), cmd.ProcessState.ExitCode()
}

// leno runs the command, which must end with the exit status.
func leno(t *testing.T, c *kube.Cluster, want int, args ...string) string {
	t.Helper()
	out, complaint, code := cli(t, c, args...)
	if code != want {
		t.Fatalf("leno %s: exit status %d, want %d\n%s%s", strings.Join(args, " "), code, want, out, complaint)
	}
	return out + complaint
}

// contains fails unless each of some texts is in what was said.
func contains(t *testing.T, said string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(said, w) {
			t.Errorf("%q is not in\n%s", w, said)
		}
	}
}

// everything lists each object of the cluster with what it says of itself.
// Events are the cluster's diary, and the status of an object is others' view
// of it.
func everything(t *testing.T, c *kube.Cluster) map[string]string {
	t.Helper()
	kinds := slices.DeleteFunc(strings.Fields(c.Do(t, "api-resources", "--verbs=list", "-o", "name")), func(kind string) bool {
		return strings.HasPrefix(kind, "events") || strings.HasPrefix(kind, "componentstatuses")
	})
	var list struct{ Items []map[string]any }
	c.Get(t, &list, strings.Join(kinds, ","), "-A")
	out := make(map[string]string)
	for _, o := range list.Items {
		m := o["metadata"].(map[string]any)
		for _, name := range []string{"resourceVersion", "managedFields", "generation"} {
			delete(m, name)
		}
		delete(o, "status")
		if o["kind"] == "Lease" {
			delete(o, "spec")
		}
		text, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		out[fmt.Sprintf("%v %v %v/%v", o["apiVersion"], o["kind"], m["namespace"], m["name"])] = string(text)
	}
	return out
}

// sameObjects waits until the cluster is what it was: what depends on a deleted
// object goes a little later.
func sameObjects(t *testing.T, c *kube.Cluster, before map[string]string) {
	t.Helper()
	kube.Wait(t, "the cluster is as it was before", func() string {
		after := everything(t, c)
		var wrong []string
		for key, text := range after {
			if was, ok := before[key]; !ok {
				wrong = append(wrong, "new: "+key)
			} else if was != text {
				wrong = append(wrong, "changed: "+key+"\n"+was+"\n"+text)
			}
		}
		for key := range before {
			if _, ok := after[key]; !ok {
				wrong = append(wrong, "gone: "+key)
			}
		}
		slices.Sort(wrong)
		return strings.Join(wrong, "\n")
	})
}

var tag = []string{"--set", "image.tag=" + kube.Version}

// httpRoutes stands for Gateway API, which a cluster may have.
const httpRoutes = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: httproutes.gateway.networking.k8s.io
  annotations: {api-approved.kubernetes.io: "https://github.com/kubernetes-sigs/gateway-api/pull/2997"}
spec:
  group: gateway.networking.k8s.io
  names: {kind: HTTPRoute, listKind: HTTPRouteList, plural: httproutes, singular: httproute}
  scope: Namespaced
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}
`

// TestInstallAndUninstall goes from nothing to a mesh and back, as a person
// does who reads docs/kubernetes.md, and compares the cluster before and after.
// On its way it makes the server use all of its rights.
func TestInstallAndUninstall(t *testing.T) {
	t.Parallel()
	c := kube.Start(t, 1)
	c.Fortio(t)
	c.Software(t, "tools")
	before := everything(t, c)
	c.Apply(t, "", httpRoutes)

	leno(t, c, 0, "check", "--pre")
	leno(t, c, 0, append([]string{"install"}, tag...)...)
	contains(t, leno(t, c, 0, append([]string{"install"}, tag...)...), "is installed") // again
	contains(t, leno(t, c, 0, "check"), "√ the webhook gives a proxy to a pod on trial", "All is well.")

	shop := c.Namespace(t, "shop", "leno.dev/inject=enabled")
	c.Apply(t, shop, echo)
	c.WaitReady(t, shop, "deployment/echo", "pod/client")
	t.Run("listings", func(t *testing.T) { listings(t, c, shop) })
	t.Run("policies", func(t *testing.T) { policies(t, c, shop) })
	t.Run("upgrade", func(t *testing.T) { upgrades(t, c) })
	t.Run("rights", func(t *testing.T) { rights(t, c) })

	out := leno(t, c, 1, "uninstall")
	contains(t, out, "pods still have a proxy", shop+"/Deployment echo (2)", "kubectl label namespace "+shop+" leno.dev/inject-", "--force")
	c.Do(t, "delete", "namespace", shop, "--wait")
	c.Do(t, "delete", "crd", "httproutes.gateway.networking.k8s.io")
	contains(t, leno(t, c, 0, "uninstall"), "Looked for:", "Nothing of it is left.")
	contains(t, leno(t, c, 0, "uninstall"), "Nothing of it is left.") // again
	sameObjects(t, c, before)
}

// listings asks in Kubernetes words about calls that were made.
func listings(t *testing.T, c *kube.Cluster, shop string) {
	kube.Wait(t, "an edge", func() string {
		_, _ = c.Try(t.Context(), "exec", "-n", shop, "client", "-c", "client", "--", "curl", "-sS", "-m", "5", "http://echo/")
		out := leno(t, c, 0, "edges", "-n", shop, "--from", "pod/client", "--to", "svc/echo")
		if !strings.Contains(out, "√") {
			return out
		}
		return ""
	})
	contains(t, leno(t, c, 0, "stat", "deploy/echo", "-n", shop), "echo", "100.00%")
	contains(t, leno(t, c, 0, "stat", "ns/"+shop), "client", "echo")
	contains(t, leno(t, c, 0, "endpoints", "svc/echo", "-n", shop), "8080", "echo-")
	contains(t, leno(t, c, 0, "endpoints", "deploy/echo", "-n", shop), "8080", "echo-")
	contains(t, leno(t, c, 0, "identity", "pod/client", "-n", shop), "spiffe://cluster.local/ns/"+shop+"/sa/default")
	if out := leno(t, c, 0, "proxies", "-A", "-l", "app=echo"); strings.Count(out, "\n") != 3 {
		t.Errorf("want a head and two proxies:\n%s", out)
	}
	contains(t, leno(t, c, 1, "stat", "deploy/nothing"), "nothing in the mesh is deploy/nothing")
	contains(t, leno(t, c, 0, "check", "--proxy", "-n", shop), "√ new pods get a proxy", "√ proxy of client is connected", "√ traffic is captured")
	contains(t, leno(t, c, 0, "check"), "√ the trust bundle is in every namespace with proxies (1)")

	// A namespace that opts in after its pods were made.
	late := c.Namespace(t, "late")
	c.Do(t, "create", "deployment", "-n", late, "web", "--image="+c.Fortio(t), "--", "/program", "server")
	c.WaitReady(t, late, "deployment/web")
	c.Do(t, "label", "namespace", late, "leno.dev/inject=enabled")
	contains(t, leno(t, c, 3, "check"), "without one", late+"/Deployment web (1)", "next: kubectl rollout restart -n "+late+" deployment/web")
	c.Do(t, "delete", "namespace", late, "--wait")
}

// policies checks that the API server refuses what Leno would not understand.
func policies(t *testing.T, c *kube.Cluster, shop string) {
	const policy = "apiVersion: leno.dev/v1alpha1\nkind: AccessPolicy\nmetadata: {name: %s, namespace: %s}\nspec: %s\n"
	c.Apply(t, "", fmt.Sprintf(policy, "good", shop, "{service: echo, ports: [80], mode: Audit, allow: {identities: [shop/*]}}"))
	dir := t.TempDir()
	for i, spec := range []string{
		"{service: echo}", "{allow: {}}", "{service: echo, selector: {}, allow: {}}", "{service: echo, mode: audit, allow: {}}",
		"{service: echo, ports: [0], allow: {}}", "{service: echo, allow: {identities: [nobody]}}",
	} {
		file := filepath.Join(dir, fmt.Sprint(i, ".yaml"))
		if err := os.WriteFile(file, fmt.Appendf(nil, policy, "bad", shop, spec), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := c.Try(t.Context(), "apply", "-f", file); err == nil {
			t.Errorf("%s was taken: %s", spec, out)
		}
	}
	contains(t, leno(t, c, 1, "uninstall"), "1 access policies go with their kind: "+shop+"/good")
	c.Do(t, "delete", "accesspolicy", "-n", shop, "good")
}

// upgrades cuts one off in its middle, and has the next one finish it.
func upgrades(t *testing.T, c *kube.Cluster) {
	cmd := exec.CommandContext(t.Context(), harness.Binary(t, "leno"), "upgrade", "--set", "replicas=2")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig)
	notes, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = notes.Read(make([]byte, 1)) // the first object is applied
	_ = cmd.Process.Kill()
	_ = cmd.Wait()

	leno(t, c, 0, "upgrade", "--set", "replicas=2")
	if got := c.Do(t, "get", "deployment", "-n", "leno-system", "leno-server", "-o", "jsonpath={.status.readyReplicas} {.spec.template.spec.containers[0].image}"); got != "2 "+kube.Leno {
		t.Errorf("after the upgrade: %s", got)
	}
	c.Do(t, "get", "poddisruptionbudget", "-n", "leno-system", "leno-server")
	leno(t, c, 0, "upgrade", "--set", "replicas=1")
	if out, err := c.Try(t.Context(), "get", "poddisruptionbudget", "-n", "leno-system", "leno-server"); err == nil {
		t.Errorf("one replica still has a budget: %s", out)
	}
}

// grant is one thing that a rule allows.
type grant struct{ verb, group, resource, name string }

// seldom are grants that this test cannot make the server use.
var seldom = map[grant]string{
	{"get", "", "configmaps", "leno-bundle"}: "used when two servers make a bundle at the same moment",
}

// rights makes the server do what it does seldom, and then compares what it
// asked of the API server with its rules.
func rights(t *testing.T, c *kube.Cluster) {
	// An API server before 1.34 has no streaming lists: clients list first.
	c.Do(t, "set", "env", "-n", "leno-system", "deployment/leno-server", "KUBE_FEATURE_WatchListClient=false")
	c.WaitReady(t, "leno-system", "deployment/leno-server")

	// A bundle that somebody changed, an issuer that is past half of its life,
	// and a webhook's certificate that is none.
	bundled := c.Namespace(t, "bundled", "leno.dev/inject=enabled")
	kube.Wait(t, "a bundle", func() string {
		_, err := c.Try(t.Context(), "get", "configmap", "-n", bundled, "leno-bundle")
		return text(err)
	})
	c.Do(t, "patch", "configmap", "-n", bundled, "leno-bundle", "-p", `{"data":{"server":"nowhere"}}`)
	c.Do(t, "patch", "secret", "-n", "leno-system", "leno-issuer", "-p", agedIssuer(t, c, ca.DefaultIssuerLifetime*3/5))
	c.Do(t, "patch", "secret", "-n", "leno-system", "leno-webhook", "-p", `{"data":{"tls.crt":"bm8="}}`)

	granted := grants(t, c)
	kube.Wait(t, "every right is used", func() string {
		used, denied := asked(t, c)
		if len(denied) > 0 {
			t.Fatalf("the API server said no to %v: add these rights to the chart, or do without", denied)
		}
		var unused []string
		for g := range granted {
			if !used[g] && seldom[g] == "" {
				unused = append(unused, fmt.Sprint(g))
			}
		}
		slices.Sort(unused)
		return strings.Join(unused, ", ")
	})
}

// agedIssuer is a patch of the issuer's Secret, by which so much of the issuer's
// life is over.
func agedIssuer(t *testing.T, c *kube.Cluster, age time.Duration) string {
	t.Helper()
	var secret struct{ Data map[string][]byte }
	c.Get(t, &secret, "secret", "-n", "leno-system", "leno-trust-anchor")
	anchor, _, err := ca.ParsePair(secret.Data["tls.crt"], secret.Data["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := ca.NewIssuer("cluster.local", anchor, ca.DefaultIssuerLifetime, time.Now().Add(-age))
	if err != nil {
		t.Fatal(err)
	}
	cert, key, err := issuer.PEM()
	if err != nil {
		t.Fatal(err)
	}
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Sprintf(`{"data":{"tls.crt":%q,"tls.key":%q}}`, b64(cert), b64(key))
}

// grants reads the rules of the server as the API server has them.
func grants(t *testing.T, c *kube.Cluster) map[grant]bool {
	t.Helper()
	type rule struct{ APIGroups, Resources, ResourceNames, Verbs []string }
	var cluster, own struct{ Rules []rule }
	c.Get(t, &cluster, "clusterrole", "leno-server")
	c.Get(t, &own, "role", "-n", "leno-system", "leno-server")
	out := make(map[grant]bool)
	for _, r := range append(cluster.Rules, own.Rules...) {
		if len(r.ResourceNames) == 0 {
			r.ResourceNames = []string{""}
		}
		for _, group := range r.APIGroups {
			for _, resource := range r.Resources {
				for _, name := range r.ResourceNames {
					for _, verb := range r.Verbs {
						out[grant{verb, group, resource, name}] = true
					}
				}
			}
		}
	}
	return out
}

// asked reads the API server's audit log: what the server was allowed, by name
// and for all names, and what it was denied.
func asked(t *testing.T, c *kube.Cluster) (used map[grant]bool, denied []grant) {
	t.Helper()
	log, err := os.ReadFile(c.AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	used = make(map[grant]bool)
	no := make(map[grant]bool)
	for line := range bytes.Lines(log) {
		var e struct {
			Verb           string
			User           struct{ Username string }
			ObjectRef      *struct{ APIGroup, Resource, Subresource, Name string }
			ResponseStatus struct{ Code int }
		}
		if json.Unmarshal(line, &e) != nil || e.ObjectRef == nil || e.User.Username != "system:serviceaccount:leno-system:leno-server" {
			continue // the last line may be half of one
		}
		resource := strings.TrimSuffix(e.ObjectRef.Resource+"/"+e.ObjectRef.Subresource, "/")
		g := grant{e.Verb, e.ObjectRef.APIGroup, resource, e.ObjectRef.Name}
		if e.ResponseStatus.Code == 403 {
			no[g] = true
			continue
		}
		used[g] = true
		used[grant{g.verb, g.group, g.resource, ""}] = true
	}
	return used, slices.Collect(maps.Keys(no))
}

func text(err error) string {
	if err != nil {
		return err.Error()
	}
	return ""
}
