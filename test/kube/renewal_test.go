//go:build linux

package kube_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/control/ca"
	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/test/harness"
	"github.com/leno-mesh/leno/test/kube"
)

// TestShortLives has all proxies of an application renew their certificates
// every 14 seconds, under load: for two minutes, or for ten in the long form. It
// stands beside tests that wait much and send little.
func TestShortLives(t *testing.T) {
	t.Parallel()
	const lifetime = `leno.dev/certificate-lifetime: 20s`
	times := 9
	if harness.Soak() {
		times = 43
	}
	c := withLeno(t)
	c.Fortio(t)
	ns := c.Namespace(t, "short", "leno.dev/inject=enabled")
	c.Apply(t, ns, fmt.Sprintf(web, lifetime, patient))
	c.WaitReady(t, ns, "deployment/web")
	l := startLoad(t, c, ns, caller{name: "client", target: "http://web/", annotations: lifetime})
	var seen map[string]string
	kube.Wait(t, "four proxies with certificates", func() string {
		if seen = serials(t, c, ns, seen); len(seen) != 4 {
			return fmt.Sprintf("%d proxies have one", len(seen))
		}
		return ""
	})
	for range times {
		seen = renewed(t, c, ns, seen)
	}
	l.await(100)
	l.mustBeGood()
}

// renewed waits until every proxy has another certificate.
func renewed(t *testing.T, c *kube.Cluster, ns string, old map[string]string) (now map[string]string) {
	t.Helper()
	kube.Wait(t, "new certificates", func() string {
		now = serials(t, c, ns, now)
		var same []string
		for holder, serial := range old {
			if now[holder] == serial || now[holder] == "" {
				same = append(same, holder)
			}
		}
		return strings.Join(same, ", ")
	})
	return now
}

// serials gives the serial number of each proxy's certificate in a namespace.
// What cannot be asked for at the moment is what was known before.
func serials(t *testing.T, c *kube.Cluster, ns string, before map[string]string) map[string]string {
	t.Helper()
	out, complaint, _ := cli(t, c, "identity", "-n", ns, "-o", "json")
	var all []operator.Identity
	if err := json.Unmarshal([]byte(out), &all); err != nil {
		t.Logf("%v: %s", err, complaint)
		return before
	}
	all = slices.DeleteFunc(all, func(i operator.Identity) bool { return i.Workload == "" || len(i.Chain) == 0 })
	now := make(map[string]string)
	for _, i := range all {
		now[i.Workload] = i.Chain[0].Serial
	}
	return now
}

// TestIssuerEnds puts an issuer in place that Leno cannot renew, because its
// anchor's key is elsewhere, and that has a twentieth of its life left.
func TestIssuerEnds(t *testing.T) {
	c := withLeno(t)
	anchor, issuer := secretData(t, c, "leno-trust-anchor"), secretData(t, c, "leno-issuer")
	t.Cleanup(func() {
		for name, data := range map[string]string{"leno-trust-anchor": anchor, "leno-issuer": issuer} {
			if _, err := c.Try(context.Background(), "patch", "secret", "-n", "leno-system", name, "-p", data); err != nil {
				t.Error(err)
			}
		}
	})
	aged := agedIssuer(t, c, ca.DefaultIssuerLifetime*19/20)
	c.Do(t, "patch", "secret", "-n", "leno-system", "leno-trust-anchor", "-p", `{"data":{"tls.key":""}}`)
	c.Do(t, "patch", "secret", "-n", "leno-system", "leno-issuer", "-p", aged)
	kube.Wait(t, "an announcement", func() string {
		out, complaint, _ := cli(t, c, "check")
		for _, want := range []string{"‼ issuer ends at", "less than a tenth of its life is left", "kubectl create secret tls -n leno-system leno-issuer"} {
			if !strings.Contains(out, want) {
				return out + complaint
			}
		}
		return ""
	})
}

// secretData is a patch that brings a Secret back to what it is.
func secretData(t *testing.T, c *kube.Cluster, name string) string {
	t.Helper()
	return `{"data":` + c.Do(t, "get", "secret", "-n", "leno-system", name, "-o", "jsonpath={.data}") + `}`
}
