//go:build linux

package kube_test

import (
	"testing"

	"github.com/leno-mesh/leno/test/kube"
)

// TestLostNodeIsNoticed shows that a test can take a node away, that the rest
// of the cluster goes on, and that Kubernetes says so.
func TestLostNodeIsNoticed(t *testing.T) {
	c := kube.Start(t, 2)
	c.WaitFor(t, "default", "node/node2", "condition=Ready")
	c.KillNode(t, "node2")
	c.WaitFor(t, "default", "node/node2", "condition=Ready=Unknown")
	c.WaitFor(t, "default", "node/node1", "condition=Ready")
}
