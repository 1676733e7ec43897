//go:build linux

package kube_test

import (
	"sync"
	"testing"

	"github.com/leno-mesh/leno/test/kube"
)

var installed sync.Once

// withLeno is the shared cluster with Leno on it.
func withLeno(t *testing.T) *kube.Cluster {
	t.Helper()
	c := kube.Shared(t)
	installed.Do(func() { leno(t, c, 0, append([]string{"install"}, tag...)...) })
	return c
}
