//go:build linux

package kube_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
	"github.com/leno-mesh/leno/test/kube"
)

// probes are by kind what asks the server of echoing, wherever in the pod it is.
var probes = map[string]string{
	"http": "httpGet: {path: /fortio/, port: 8080}",
	"tcp":  "tcpSocket: {port: 8078}",
	"grpc": "grpc: {port: 8079}",
	"exec": "exec: {command: [curl, -sSf, -m, '5', 'http://127.0.0.1:8080/fortio/']}",
}

var stages = []string{"startup", "readiness", "liveness"}

// TestProbes has probes of each kind, as people write them, in a pod where the
// application listens and in one where it does not. The kubelet's own counters
// say what came of them.
func TestProbes(t *testing.T) {
	t.Parallel()
	c := withLeno(t)
	c.Fortio(t)
	c.Software(t, "tools")
	ns := c.Namespace(t, "probes", "leno.dev/inject=enabled")
	kinds := slices.Sorted(maps.Keys(probes))
	good, bad := podHead("good", "{name: server, image: localhost/fortio:test, args: [server]}"), podHead("bad")
	for _, kind := range kinds {
		good += container(kind, probes[kind], 60, stages...)
		for _, stage := range stages {
			bad += container(stage+"-"+kind, probes[kind], 3, stage)
		}
	}
	c.Apply(t, ns, good+"---"+bad)
	c.WaitReady(t, ns, "pod/good")
	for _, kind := range kinds {
		t.Run(kind, func(t *testing.T) {
			for _, stage := range stages {
				kube.Wait(t, stage+" probes", func() string {
					ok, failed := probed(t, c, ns, "good", kind, stage)
					if ok < 1 || stage != "startup" && failed > 0 {
						return fmt.Sprintf("where the application listens, %v are right and %v are not", ok, failed)
					}
					ok, failed = probed(t, c, ns, "bad", stage+"-"+kind, stage)
					if ok > 0 || failed < 3 {
						return fmt.Sprintf("where it does not, %v are right and %v are not", ok, failed)
					}
					return ""
				})
			}
			restarts := func(pod, container string) string {
				return c.Do(t, "get", "pod", pod, "-n", ns, "-o", fmt.Sprintf("jsonpath={.status.containerStatuses[?(@.name==%q)].restartCount}", container))
			}
			for _, stage := range []string{"startup", "liveness"} {
				kube.Wait(t, "a restart for "+stage, func() string {
					if restarts("bad", stage+"-"+kind) == "0" {
						return "none"
					}
					return ""
				})
			}
			if n := restarts("good", kind); n != "0" {
				t.Errorf("where the application listens, its container was started again %s times", n)
			}
		})
	}
}

func podHead(name string, containers ...string) string {
	head := fmt.Sprintf(`
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  terminationGracePeriodSeconds: 1
  containers:
`, name)
	for _, one := range containers {
		head += "  - " + one + "\n"
	}
	return head
}

// container does nothing, and has a probe at some stages, which may fail so
// often before the kubelet acts.
func container(name, probe string, failures int, stages ...string) string {
	text := fmt.Sprintf("  - name: %s\n    image: localhost/tools:test\n    command: [sleep, infinity]\n", name)
	for _, stage := range stages {
		text += fmt.Sprintf("    %sProbe: {%s, periodSeconds: 1, timeoutSeconds: 10, failureThreshold: %d}\n", stage, probe, failures)
	}
	return text
}

// probed is how often the kubelets say that a container's probes were right,
// and how often not.
func probed(t *testing.T, c *kube.Cluster, ns, pod, container, stage string) (ok, failed float64) {
	t.Helper()
	for node := range c.Nodes {
		m := harness.ParseMetrics(c.Do(t, "get", "--raw", "/api/v1/nodes/"+node+"/proxy/metrics/probes"))
		labels := []string{"namespace", ns, "pod", pod, "container", container, "probe_type", strings.ToUpper(stage[:1]) + stage[1:]}
		ok += m.Sum("prober_probe_total", append(labels, "result", "successful")...)
		failed += m.Sum("prober_probe_total", append(labels, "result", "failed")...)
	}
	return ok, failed
}
