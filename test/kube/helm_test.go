package kube_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/kube"
)

// TestHelm installs the same chart as Helm's users do, and shows that leno and
// Helm do not take each other's installations away.
func TestHelm(t *testing.T) {
	c := kube.Start(t, 1)
	program := kube.Helm(t)
	helm := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), program, append(args, "--namespace", "leno-system")...)
		home := t.TempDir()
		cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig, "HOME="+home, "XDG_CACHE_HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	const chart = "../../kube/install/chart"
	wait := []string{"--wait", "--timeout", kube.Ceiling.String()}
	before := everything(t, c)

	helm("lint", chart)
	helm(append(append([]string{"install", "mesh", chart, "--create-namespace"}, tag...), wait...)...)
	// The one warning: Helm makes namespaces without labels.
	kube.Wait(t, "a check", func() string {
		out, _, code := cli(t, c, "check")
		if code != 3 || !strings.Contains(out, "Errors: 0. Warnings: 1.") {
			return out
		}
		return ""
	})
	c.Do(t, "label", "namespace", "leno-system", "pod-security.kubernetes.io/enforce=restricted")
	contains(t, leno(t, c, 0, "check"), "All is well.")

	contains(t, leno(t, c, 1, "install"), "use helm upgrade")
	contains(t, leno(t, c, 1, "upgrade"), "use helm upgrade")
	contains(t, leno(t, c, 1, "uninstall"), "helm uninstall -n leno-system mesh")

	helm(append([]string{"upgrade", "mesh", chart, "--reuse-values", "--set", "replicas=2"}, wait...)...)
	c.Do(t, "get", "poddisruptionbudget", "-n", "leno-system", "leno-server")
	// Helm does not wait until the API server's node reaches the new pod.
	kube.Wait(t, "a check after the upgrade", func() string {
		out, _, code := cli(t, c, "check")
		if code != 0 || !strings.Contains(out, "√ the webhook gives a proxy to a pod on trial") {
			return out
		}
		return ""
	})

	helm("uninstall", "mesh", "--wait")
	contains(t, leno(t, c, 0, "uninstall"), "Nothing of it is left.")
	c.Do(t, "delete", "namespace", "leno-system", "--wait") // Helm made it, and leaves it
	sameObjects(t, c, before)
}
