package check

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/kube/fakeapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// said puts outcomes into lines: "warning what: wrong".
func said(checks []operator.Check) []string {
	var out []string
	for _, c := range checks {
		line := c.Result + " " + c.Description
		if c.Result != operator.SeverityOK {
			line += ": " + c.Error
			if c.Hint == "" {
				line += " (WITHOUT A HINT)"
			}
		}
		out = append(out, line)
	}
	return out
}

// expect looks for lines that begin so, and for a hint with each failure.
func expect(t *testing.T, checks []operator.Check, want ...string) {
	t.Helper()
	lines := said(checks)
	for _, w := range want {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.HasPrefix(l, w) }) {
			t.Errorf("nothing begins with %q in\n%s", w, strings.Join(lines, "\n"))
		}
	}
	for _, l := range lines {
		if strings.HasSuffix(l, "(WITHOUT A HINT)") {
			t.Error(l)
		}
	}
}

// worst gives the lines that are no success.
func worst(checks []operator.Check) []string {
	return slices.DeleteFunc(said(checks), func(l string) bool { return strings.HasPrefix(l, operator.SeverityOK) })
}

func read[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	if err := yaml.UnmarshalStrict([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func node(name, kubelet, kernel string) map[string]any {
	return map[string]any{
		"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": name},
		"status": map[string]any{"nodeInfo": map[string]any{"kubeletVersion": kubelet, "kernelVersion": kernel, "operatingSystem": "linux"}},
	}
}

func TestPre(t *testing.T) {
	s := fakeapi.New(t)
	s.Put(node("n1", "v1.34.0", "6.1.0-13-amd64"))
	checks := Pre(t.Context(), s.Access(t), "leno-system")
	if bad := worst(checks); len(bad) > 0 {
		t.Errorf("a good cluster: %q", bad)
	}
	expect(t, checks, "success Kubernetes is 1.29 or newer (v1.34.0)", "success this user may install", "success namespace leno-system is free")

	s.Version = "v1.28.15-gke.1"
	s.Put(node("n2", "v1.28.9", "6.1.0"))
	s.Put(node("n3", "v1.34.0", "4.15.0-213-generic"))
	s.Put(map[string]any{"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": "leno-system"}})
	s.Put(map[string]any{
		"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": map[string]any{"name": "leno-server"},
		"subjects": []any{map[string]any{"kind": "ServiceAccount", "name": "leno-server", "namespace": "mesh"}},
	})
	s.Denied = func(q fakeapi.Request) bool { return q.Verb == "create" && q.Resource == "clusterroles" }
	expect(t, Pre(t.Context(), s.Access(t), "leno-system"),
		"error Kubernetes is 1.29 or newer: it is v1.28.15-gke.1",
		"warning nodes can hold proxies: n2: kubelet v1.28.9 has no native sidecar containers; n3: kernel 4.15.0-213-generic is too old",
		"error this user may install: may not create clusterroles",
		"error no other Leno is in the cluster: there is one in namespace mesh",
		"warning namespace leno-system enforces Pod Security restricted: it enforces nothing")
}

func TestClocks(t *testing.T) {
	now := time.Now()
	lease := func(skew time.Duration) coordinationv1.Lease {
		at := metav1.NewTime(now)
		return coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: "n1", ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubelet", Time: &at}}},
			Spec:       coordinationv1.LeaseSpec{RenewTime: &metav1.MicroTime{Time: now.Add(skew)}},
		}
	}
	for skew, want := range map[time.Duration]string{
		time.Second: "success", -2 * time.Second: "success", time.Minute: "warning", -time.Minute: "warning", time.Hour: "error",
	} {
		r := &report{}
		r.checkClocks([]coordinationv1.Lease{lease(skew)})
		expect(t, r.checks, want)
	}
}

const meshedPods = `
items:
- metadata: {name: web-7d9f-a, namespace: shop, uid: u1, labels: {app: web, pod-template-hash: 7d9f}, ownerReferences: [{apiVersion: apps/v1, kind: ReplicaSet, name: web-7d9f, uid: x, controller: true}]}
  spec: {initContainers: [{name: leno-init}, {name: leno-proxy}], containers: [{name: web, ports: [{containerPort: 53, protocol: UDP}]}]}
  status: {initContainerStatuses: [{name: leno-init, image: i, imageID: i, ready: true, restartCount: 0, state: {terminated: {exitCode: 0}}}, {name: leno-proxy, image: i, imageID: i, restartCount: 0, ready: true}]}
- metadata: {name: cart-0, namespace: shop, uid: u2, labels: {app: cart}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: cart, uid: x, controller: true}]}
  spec: {containers: [{name: cart}]}
- metadata: {name: out, namespace: shop, annotations: {leno.dev/inject: disabled}}
  spec: {containers: [{name: out}]}
- metadata: {name: agent, namespace: shop}
  spec: {hostNetwork: true, containers: [{name: agent}]}
- metadata: {name: stuck, namespace: other, uid: u3}
  spec: {initContainers: [{name: leno-init}, {name: leno-proxy}], containers: [{name: web}]}
  status: {initContainerStatuses: [{name: leno-init, image: i, imageID: i, ready: false, restartCount: 1, state: {waiting: {reason: CrashLoopBackOff}}, lastState: {terminated: {exitCode: 1, message: no nftables}}}]}
- metadata: {name: starting, namespace: other, uid: u4}
  spec: {initContainers: [{name: leno-init}, {name: leno-proxy}], containers: [{name: web}]}
- metadata: {name: asks, namespace: other, labels: {leno.dev/inject: enabled}}
  spec: {containers: [{name: web}]}
- metadata: {name: plain, namespace: other}
  spec: {containers: [{name: web}]}
- metadata: {name: dns, namespace: kube-system, labels: {leno.dev/inject: enabled}}
  spec: {containers: [{name: web}]}
`

func meshed(t *testing.T) *cluster {
	return &cluster{
		pods: read[corev1.PodList](t, meshedPods).Items,
		namespaces: read[corev1.NamespaceList](t, `
items:
- metadata: {name: shop, labels: {leno.dev/inject: enabled}}
- metadata: {name: other}
`).Items,
	}
}

func TestPods(t *testing.T) {
	r := &report{}
	r.checkPods(meshed(t))
	expect(t, r.checks,
		"warning pods that want a proxy have one: without one, though they or their namespace say enabled: other/Pod asks (1), shop/StatefulSet cart (1)",
		"warning pods that want a proxy can have one: these use their node's network, whose traffic cannot be captured: shop/Pod agent (1)",
		"error traffic is captured: other/stuck: leno-init ended with 1 no nftables",
		"warning proxies are ready: not ready: other/Pod starting (1)")
	if hint := r.checks[0].Hint; !strings.Contains(hint, "kubectl rollout restart -n shop statefulset/cart") {
		t.Errorf("hint %q", hint)
	}
}

func TestUDP(t *testing.T) {
	c := meshed(t)
	c.services = read[corev1.ServiceList](t, `
items:
- metadata: {name: names, namespace: shop}
  spec: {selector: {app: web}, ports: [{port: 53, protocol: UDP}]}
- metadata: {name: elsewhere, namespace: shop}
  spec: {selector: {app: cart}, ports: [{port: 53, protocol: UDP}]}
- metadata: {name: tcp, namespace: shop}
  spec: {selector: {app: web}, ports: [{port: 53, protocol: TCP}]}
`).Items
	r := &report{}
	r.checkUDP(c)
	expect(t, r.checks, "warning the mesh protects all traffic of its workloads: UDP goes past the proxies: shop/Deployment web, shop/Service names")
	if n := len(r.checks); n != 1 {
		t.Errorf("%d findings", n)
	}
}

func TestBundles(t *testing.T) {
	c := meshed(t)
	c.bundles = []corev1.ConfigMap{{ObjectMeta: metav1.ObjectMeta{Namespace: "shop"}, Data: map[string]string{"bundle.pem": "x"}}}
	r := &report{}
	r.checkBundles(c, "leno-system")
	expect(t, r.checks, "error the trust bundle is in every namespace with proxies: ConfigMap leno-bundle is missing in other")
}

func TestNetworkPolicies(t *testing.T) {
	for name, test := range map[string]struct {
		spec string
		want []string
	}{
		"of other pods":            {`{podSelector: {matchLabels: {app: api}}, ingress: [{ports: [{port: 8080}]}]}`, nil},
		"nothing in":               {`{podSelector: {}, policyTypes: [Ingress]}`, []string{"in (p)"}},
		"the application's port":   {`{podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress], ingress: [{ports: [{port: 8080, protocol: TCP}]}]}`, []string{"in (p)"}},
		"any port":                 {`{podSelector: {}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}]}]}`, nil},
		"the proxy's port":         {`{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 4143}]}]}`, nil},
		"the proxy's port by name": {`{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: leno-inbound}]}]}`, nil},
		"a range with it":          {`{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 4000, endPort: 5000}]}]}`, nil},
		"the number over UDP":      {`{podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 4143, protocol: UDP}]}]}`, []string{"in (p)"}},
		"nothing out":              {`{podSelector: {}, policyTypes: [Egress]}`, []string{"port 4143 of other proxies", "port 4180 of the control plane"}},
		"out to the proxies":       {`{podSelector: {}, policyTypes: [Egress], egress: [{ports: [{port: 4143}]}]}`, []string{"port 4180 of the control plane"}},
	} {
		t.Run(name, func(t *testing.T) {
			c := meshed(t)
			c.policies = read[networkingv1.NetworkPolicyList](t, "items: [{metadata: {name: p, namespace: shop}, spec: "+test.spec+"}]").Items
			got := c.blocks(&c.pods[0])
			if len(got) != len(test.want) {
				t.Fatalf("got %v, want %q", got, test.want)
			}
			for i := range got {
				if !strings.Contains(got[i].why, test.want[i]) {
					t.Errorf("got %v, want %q in it", got[i], test.want[i])
				}
			}
		})
	}
	c := meshed(t)
	c.policies = read[networkingv1.NetworkPolicyList](t, `
items:
- {metadata: {name: app, namespace: shop}, spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 8080}]}]}}
- {metadata: {name: mesh, namespace: shop}, spec: {podSelector: {}, policyTypes: [Ingress], ingress: [{ports: [{port: 4143}]}]}}
`).Items
	if got := c.blocks(&c.pods[0]); len(got) > 0 {
		t.Errorf("policies add to each other, but got %v", got)
	}
}

func TestConnected(t *testing.T) {
	c := meshed(t)
	for want, proxies := range map[string][]operator.Proxy{
		"success proxies are connected to the control plane (1)":                                                                    {{Workload: "u1", Connected: true}},
		"warning proxies are connected to the control plane: not connected, and running on what they know: shop/Deployment web (1)": {{Workload: "u1"}, {Workload: "u9", Connected: true}},
	} {
		r := &report{}
		r.checkConnected(c, &Params{Server: &operator.Status{}, Proxies: proxies})
		expect(t, r.checks, want)
	}
}

func TestEachProxy(t *testing.T) {
	now := time.Now()
	good := operator.Proxy{Workload: "u1", Connected: true, Confirmed: now, ProxyVersion: "1", CertificateEnd: now.Add(time.Hour)}
	for want, change := range map[string]func(*operator.Proxy){
		"success proxy of web-7d9f-a is connected":                 func(*operator.Proxy) {},
		"warning proxy of web-7d9f-a: it is not connected":         func(p *operator.Proxy) { p.Connected = false },
		"warning proxy of web-7d9f-a: it refused 1":                func(p *operator.Proxy) { p.Refused = map[string]string{"a": "b"} },
		"warning proxy of web-7d9f-a: its snapshot was last":       func(p *operator.Proxy) { p.Confirmed = now.Add(-time.Hour) },
		"error proxy of web-7d9f-a: its certificate ended":         func(p *operator.Proxy) { p.CertificateEnd = now.Add(-time.Second) },
		"warning proxy of web-7d9f-a: it is 0, the server is 1":    func(p *operator.Proxy) { p.ProxyVersion = "0" },
		"warning proxy of web-7d9f-a: the control plane does not ": func(p *operator.Proxy) { p.Workload = "other" },
	} {
		p := good
		change(&p)
		r := &report{}
		c := meshed(t)
		c.pods = c.pods[:1]
		r.checkEach(c, &Params{Server: &operator.Status{Version: "1"}, Proxies: []operator.Proxy{p}})
		expect(t, r.checks, want)
	}
}

// TestClusterWithoutLeno checks that nothing is asked twice for, and that what
// may not be seen is said.
func TestClusterWithoutLeno(t *testing.T) {
	s := fakeapi.New(t)
	s.Denied = func(q fakeapi.Request) bool { return q.Resource == "networkpolicies" }
	expect(t, Cluster(t.Context(), Params{Access: s.Access(t), Namespace: "leno-system"}),
		"error Leno is installed: there is no Deployment leno-server in namespace leno-system",
		"error the webhook is there",
		"warning everything can be looked at: network policies: ")
	expect(t, Namespace(t.Context(), Params{Access: s.Access(t), Namespace: "leno-system"}, "nowhere"),
		"error the namespace is there: there is no namespace nowhere")
	for _, q := range s.Requests() {
		if q.Verb != "get" && q.Verb != "list" {
			t.Errorf("a check did this: %s", fmt.Sprint(q))
		}
	}
}
