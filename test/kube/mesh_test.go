//go:build linux

package kube_test

import (
	"sync"
	"testing"

	"github.com/leno-mesh/leno/test/kube"
)

var installed struct {
	once sync.Once
	well bool
}

// withLeno is the shared cluster with Leno on it.
func withLeno(t *testing.T) *kube.Cluster {
	t.Helper()
	c := kube.Shared(t)
	installed.once.Do(func() {
		leno(t, c, 0, append([]string{"install"}, tag...)...)
		installed.well = true
	})
	if !installed.well {
		t.Fatal("leno install failed in the first test that needed it: see there")
	}
	return c
}
