//go:build linux

package kube_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/leno-mesh/leno/test/kube"
)

// TestKilledProxy kills one proxy of a server under load and then that of the
// client, while Leno's server is away: both start again with what they had.
func TestKilledProxy(t *testing.T) {
	c := withLeno(t)
	c.Fortio(t)
	ns := c.Namespace(t, "killed", "leno.dev/inject=enabled")
	c.Apply(t, ns, fmt.Sprintf(web, "", patient))
	c.WaitReady(t, ns, "deployment/web")
	l := startLoad(t, c, ns, caller{name: "client", target: "http://web/"})
	scaleServer(t, c, 0)

	pod := strings.Fields(c.Do(t, "get", "pods", "-n", ns, "-l", "app=web", "-o", "jsonpath={.items[*].metadata.name}"))[0]
	killProxy(t, c, ns, pod)
	ip := c.Do(t, "get", "pod", "-n", ns, pod, "-o", "jsonpath={.status.podIP}")
	kube.Wait(t, "calls to "+pod, func() string {
		if metricsOf(t, ip).Sum("response_total", "direction", "inbound", "tls", "true") == 0 {
			return "none yet"
		}
		return ""
	})
	l.await(500)
	if n := l.failed(); n > connections {
		t.Errorf("%v requests failed: expected at most the %d under way when the proxy was killed", n, connections)
	}

	killProxy(t, c, ns, "client")
	l.await(500) // from nothing: its proxy counts anew
}

// killProxy kills a pod's proxy and waits until the pod is ready again.
func killProxy(t *testing.T, c *kube.Cluster, ns, pod string) {
	t.Helper()
	for _, pid := range c.Processes(t, ns, pod, "leno-proxy") {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
	}
	c.WaitFor(t, ns, "pod/"+pod, `jsonpath={.status.initContainerStatuses[?(@.name=="leno-proxy")].restartCount}=1`)
	c.WaitReady(t, ns, "pod/"+pod)
}
