//go:build linux

package kube_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/kube"
)

// TestFailurePolicy has the API server refuse pods of opted-in namespaces while
// no server answers, as an operator may wish. Leno's own pods and the system's
// start all the same: otherwise nothing could bring the server back. With the
// default policy such pods start without a proxy, which TestServerAway shows.
func TestFailurePolicy(t *testing.T) {
	c := withLeno(t)
	image := c.Fortio(t)
	failurePolicy(t, c, "Fail")
	t.Cleanup(func() { failurePolicy(t, c, "Ignore") })
	ns, plain := c.Namespace(t, "strict", "leno.dev/inject=enabled"), c.Namespace(t, "plain")
	run := func(ns, name string) error {
		_, err := c.Try(t.Context(), "run", "-n", ns, name, "--image="+image, "--", "server")
		return err
	}
	scaleServer(t, c, 0)

	err := run(ns, "refused")
	if err == nil {
		t.Fatal("a pod that cannot get its proxy was admitted")
	}
	contains(t, err.Error(), `failed calling webhook "namespace.inject.leno.dev"`, "leno-server.leno-system.svc")
	t.Cleanup(func() {
		if _, err := c.Try(context.Background(), "delete", "pod", "-n", "kube-system", "leno-not-asked", "--now"); err != nil {
			t.Error(err)
		}
	})
	for ns, name := range map[string]string{plain: "app", "kube-system": "leno-not-asked"} {
		if err := run(ns, name); err != nil {
			t.Error(err)
			continue
		}
		c.WaitReady(t, ns, "pod/"+name)
	}
	scaleServer(t, c, 1) // a pod of Leno's own namespace
	kube.Wait(t, "a pod that is admitted", func() string { return text(run(ns, "admitted")) })
	if got := c.Do(t, "get", "pod", "-n", ns, "admitted", "-o", "jsonpath={.spec.initContainers[*].name}"); !strings.Contains(got, "leno-proxy") {
		t.Errorf("the pod was admitted with the init containers %q", got)
	}
}

// failurePolicy sets what the chart's value webhook.failurePolicy sets, also when
// the test is over.
func failurePolicy(t *testing.T, c *kube.Cluster, policy string) {
	t.Helper()
	var entries []string
	for _, name := range []string{"namespace", "pod", "annotation"} {
		entries = append(entries, fmt.Sprintf(`{"name":"%s.inject.leno.dev","failurePolicy":%q}`, name, policy))
	}
	patch := `{"webhooks":[` + strings.Join(entries, ",") + `]}`
	if out, err := c.Try(context.Background(), "patch", "mutatingwebhookconfiguration", "leno-injector", "-p", patch); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
