//go:build linux

package kube_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/control/store"
	"github.com/leno-mesh/leno/test/harness"
	"github.com/leno-mesh/leno/test/kube"
)

// app is a pod with one container, and a Service of its name.
type app struct {
	name    string
	image   string // as Software names it
	command string // of a shell; "" has none, and starts a server that echoes
	port    int    // of the pod and of the Service; 0 is a pod that only calls
	node    string // "" is any
	inject  string // "" is what the namespace says
}

// yaml has the pod ready when its port answers.
func (a app) yaml() string {
	command := fmt.Sprintf("command: [sh, -c, %q]", a.command)
	if a.command == "" {
		command = "args: [server]"
	}
	pod := fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, labels: {app: %[1]s}, annotations: {%[2]s}}
spec:
  terminationGracePeriodSeconds: 1 # a shell does not end by itself
  nodeSelector: {%[3]s}
  containers:
  - name: app
    image: localhost/%[4]s:test
    %[5]s
    securityContext: {runAsUser: 1000, runAsGroup: 1000}
`, a.name, pair("leno.dev/inject", a.inject), pair("kubernetes.io/hostname", a.node), a.image, command)
	if a.port == 0 {
		return pod + "---"
	}
	return pod + fmt.Sprintf(`
    readinessProbe: {tcpSocket: {port: %[2]d}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s}
spec:
  selector: {app: %[1]s}
  ports: [{port: %[2]d}]
---`, a.name, a.port)
}

func pair(key, value string) string {
	if value == "" {
		return ""
	}
	return key + ": " + value
}

// tooled is a pod with clients of everything in the tools.
func tooled(name string) app {
	return app{name: name, image: "tools", command: "exec sleep infinity"}
}

// echoing answers every request with its body, on port 8080.
func echoing(name string) app {
	return app{name: name, image: "fortio", port: 8080}
}

// nginx gives the script that runs nginx with what is between the braces of its
// server.
func nginx(server string) string {
	return `echo 'daemon off; pid /tmp/pid; events {} http { client_body_temp_path /tmp/b; proxy_temp_path /tmp/p;
		fastcgi_temp_path /tmp/f; uwsgi_temp_path /tmp/u; scgi_temp_path /tmp/s;
		access_log /tmp/log; server { listen 8080; ` + server + ` } }' >/tmp/conf && exec nginx -c /tmp/conf -e stderr`
}

// start makes the pods in a namespace and waits until all are ready.
func start(t *testing.T, c *kube.Cluster, ns string, apps ...app) {
	t.Helper()
	var all strings.Builder
	var names []string
	for _, a := range apps {
		all.WriteString(a.yaml())
		names = append(names, "pod/"+a.name)
	}
	c.Apply(t, ns, all.String())
	c.WaitReady(t, ns, names...)
}

// edges asks Leno who calls whom in a namespace.
func edges(t *testing.T, c *kube.Cluster, ns string) []store.Edge {
	t.Helper()
	var all []store.Edge
	listed(t, c, &all, "edges", "-n", ns)
	return all
}

// secured tells what keeps a namespace from having an edge from a caller to
// each of some services, all of them secured between proven identities.
func secured(t *testing.T, c *kube.Cluster, ns, from string, to ...string) (missing string) {
	t.Helper()
	seen := make(map[string]bool)
	for _, e := range edges(t, c, ns) {
		if e.Src != from {
			continue
		}
		want := "spiffe://cluster.local/ns/" + ns + "/sa/default"
		if !e.Secured || e.ClientID != want || e.ServerID != want {
			return fmt.Sprintf("%+v: want it secured between %s", e, want)
		}
		seen[e.Dst] = true
	}
	for _, name := range to {
		if !seen[name] {
			return fmt.Sprintf("no edge from %s to %s: %v", from, name, seen)
		}
	}
	return ""
}

// listed decodes what leno lists as JSON.
func listed(t *testing.T, c *kube.Cluster, into any, args ...string) {
	t.Helper()
	out, complaint, code := cli(t, c, append(args, "-o", "json")...)
	if err := json.Unmarshal([]byte(out), into); code != 0 || err != nil {
		t.Fatalf("leno %s: exit status %d, %v\n%s%s", strings.Join(args, " "), code, err, out, complaint)
	}
}

// counters reads the metrics of a pod's proxy.
func counters(t *testing.T, ip string) harness.Metrics {
	t.Helper()
	client := &http.Client{Timeout: kube.Ceiling}
	defer client.CloseIdleConnections()
	resp, err := client.Get("http://" + ip + ":4191/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return harness.ParseMetrics(string(page))
}
