//go:build linux

package kube_test

import (
	"syscall"
	"testing"

	"github.com/leno-mesh/leno/test/kube"
)

// TestLosses takes away, under load, what a cluster can lose: first its API
// server, which takes a while to come back, and then a node with all that runs
// there, Leno's server included. Nothing is evicted before the test is over.
func TestLosses(t *testing.T) {
	c := kube.Start(t, 2)
	c.Fortio(t)
	leno(t, c, 0, append([]string{"install", "--set", `nodeSelector.kubernetes\.io/hostname=node2`}, tag...)...)
	ns := c.Namespace(t, "losses", "leno.dev/inject=enabled")
	c.Apply(t, ns, echoServer)
	c.WaitReady(t, ns, "deployment/echo")
	// By address, for the cluster's DNS may be lost too.
	ip := c.Do(t, "get", "service", "-n", ns, "echo", "-o", "jsonpath={.spec.clusterIP}")
	l := startLoad(t, c, ns, caller{name: "client", target: "http://" + ip + "/", where: "kubernetes.io/hostname: node1"})

	api := c.Daemon(t, "node1", "kube-apiserver")
	if err := syscall.Kill(api, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	l.await(5000)
	if err := syscall.Kill(api, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	c.WaitFor(t, "default", "node/node2", "condition=Ready")
	if n := l.failed(); n > 0 {
		t.Errorf("%v requests failed without an API server: expected none", n)
	}

	c.KillNode(t, "node2")
	l.await(5000)
	if n := l.failed(); n > connections {
		t.Errorf("%v requests failed: expected at most the %d that were under way", n, connections)
	}
	c.WaitFor(t, "default", "node/node2", "condition=Ready=Unknown")
	c.WaitFor(t, "default", "node/node1", "condition=Ready")
	good, bad := l.stop()
	lost := 0
	for _, n := range bad {
		lost += n
	}
	if lost > connections {
		t.Errorf("the client saw %d requests fail: expected at most the %d that were under way", lost, connections)
	}
	t.Logf("%d requests succeeded, others: %v", good, bad)
}
