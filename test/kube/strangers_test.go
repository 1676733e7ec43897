//go:build linux

package kube_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/kube"
)

// onNode is a server on the network of a node: it can have no proxy. The client
// beside it can neither.
const onNode = `
apiVersion: v1
kind: Pod
metadata: {name: node}
spec:
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  terminationGracePeriodSeconds: 1
  containers:
  - {name: client, image: localhost/tools:test, command: [sleep, infinity]}
  - name: server
    image: localhost/fortio:test
    args: [server, -http-port, "18080", -grpc-port, disabled, -tcp-port, disabled, -udp-port, disabled, -redirect-port, disabled]
    readinessProbe: {httpGet: {path: /fortio/, port: 18080}, periodSeconds: 1}
`

// ways are Services of each kind, %[1]s in the mesh and out of it.
const ways = `
apiVersion: v1
kind: Service
metadata: {name: %[1]s-headless}
spec: {clusterIP: None, selector: {app: %[1]s}, ports: [{port: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s-port}
spec: {type: NodePort, selector: {app: %[1]s}, ports: [{port: 80, targetPort: 8080}]}
---`

// elsewhere are names of the machine, which is outside the cluster.
const elsewhere = `
apiVersion: v1
kind: Service
metadata: {name: alias}
spec: {type: ExternalName, externalName: outside.test}
---
apiVersion: v1
kind: Service
metadata: {name: manual}
spec: {ports: [{name: http, port: 80}]}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: manual-1, labels: {kubernetes.io/service-name: manual}}
addressType: IPv4
ports: [{name: http, port: %d}]
endpoints: [{addresses: [%q]}]
---`

// TestStrangers has pods of the mesh and others call each other, and all that a
// pod could reach before it was in the mesh.
func TestStrangers(t *testing.T) {
	c := withLeno(t)
	c.Fortio(t)
	c.Software(t, "tools")
	ns := c.Namespace(t, "strangers", "leno.dev/inject=enabled")
	plain, stranger := echoing("plain"), tooled("stranger")
	plain.inject, stranger.inject = "disabled", "disabled"
	machine := outside(t, c)
	c.Apply(t, ns, onNode+"---"+fmt.Sprintf(ways, "plain")+fmt.Sprintf(ways, "meshed")+fmt.Sprintf(elsewhere, machine.Port(), machine.Addr()))
	start(t, c, ns, echoing("meshed"), plain, tooled("member"), stranger)
	c.WaitReady(t, ns, "pod/node")

	get := func(kind, name, path string) string {
		return c.Do(t, "get", kind, name, "-n", ns, "-o", "jsonpath={"+path+"}")
	}
	for name, inMesh := range map[string]bool{"meshed": true, "member": true, "plain": false, "stranger": false, "node": false} {
		if version := get("pod", name, `.metadata.annotations.leno\.dev/injected`); (version != "") != inMesh {
			t.Fatalf("pod %s was injected by %q", name, version)
		}
	}
	node := get("pod", "node", ".status.hostIP")
	targets := map[string]string{
		"host network":       node + ":18080",
		"a name outside":     fmt.Sprintf("outside.test:%d", machine.Port()),
		"an address outside": machine.String(),
		"ExternalName":       fmt.Sprintf("alias:%d", machine.Port()),
		"no selector":        "manual",
	}
	for _, name := range []string{"plain", "meshed"} {
		targets[name+" service"] = name + ":8080"
		targets[name+" cluster address"] = get("service", name, ".spec.clusterIP") + ":8080"
		targets[name+" headless"] = name + "-headless." + ns + ".svc.cluster.local:8080"
		targets[name+" pod"] = get("pod", name, ".status.podIP") + ":8080"
		targets[name+" NodePort"] = node + ":" + get("service", name+"-port", ".spec.ports[0].nodePort")
	}
	for _, from := range []string{"member", "stranger", "node"} {
		for name, target := range targets {
			t.Run(from+" to "+name, func(t *testing.T) { echoes(t, c, ns, from, target) })
		}
	}
	t.Run("the API server", func(t *testing.T) { asksAPIServer(t, c, ns) })
	t.Run("edges", func(t *testing.T) {
		kube.Wait(t, "what is secured and what is not", func() string {
			echoes(t, c, ns, "member", "plain:8080")
			echoes(t, c, ns, "member", "meshed:8080")
			seen := make(map[string]bool)
			for _, e := range edges(t, c, ns) {
				if e.Src == "member" {
					seen[fmt.Sprint(e.Dst, " ", e.Secured)] = true
				}
			}
			if !seen["plain false"] || !seen["meshed true"] || seen["plain true"] {
				return fmt.Sprint(seen)
			}
			return ""
		})
	})
}

// echoes has a pod send a text to a server and get it back.
func echoes(t *testing.T, c *kube.Cluster, ns, from, target string) {
	t.Helper()
	eventually(t, "hello", func() (string, error) {
		return c.Try(t.Context(), "exec", "-n", ns, from, "--", "curl", "-sS", "-m", "10", "-d", "hello", "http://"+target+"/")
	})
}

// asksAPIServer reaches it as clients in pods do.
func asksAPIServer(t *testing.T, c *kube.Cluster, ns string) {
	const ask = `cd /var/run/secrets/kubernetes.io/serviceaccount &&
		curl -sS -m 20 --cacert ca.crt -H "Authorization: Bearer $(cat token)" https://kubernetes.default.svc/version`
	kube.Wait(t, "its version", func() string {
		out, err := c.Try(t.Context(), "exec", "-n", ns, "member", "--", "sh", "-c", ask)
		if err != nil || !strings.Contains(out, "gitVersion") {
			return out + text(err)
		}
		return ""
	})
}

// outside starts a server on the machine, at the address that pods know.
func outside(t *testing.T, c *kube.Cluster) netip.AddrPort {
	t.Helper()
	network, err := netip.ParsePrefix(c.Network)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", netip.AddrPortFrom(network.Addr().Next(), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(w, r.Body)
	}))
	server.Listener.Close()
	server.Listener = l
	server.Start()
	t.Cleanup(server.Close)
	return netip.MustParseAddrPort(l.Addr().String())
}
