//go:build linux

package kube_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/control/store"
	"github.com/leno-mesh/leno/test/kube"
)

// TestShopGetsIntoTheMesh has a shop of three on two nodes go into the mesh by a
// label: what travels between the nodes is plain before and secret afterwards,
// and the proxies count what the client sent.
func TestShopGetsIntoTheMesh(t *testing.T) {
	c := withLeno(t)
	c.Fortio(t)
	c.Software(t, "nginx")
	c.Software(t, "tools")
	ns := c.Namespace(t, "shop")
	api, web, client := echoing("api"), gateway("web", "api:8080"), tooled("client")
	api.node, web.node, client.node = "node1", "node2", "node1"
	start(t, c, ns, api)
	start(t, c, ns, web, client)

	if seen := travels(t, c, ns, "an-order-in-the-open"); !seen {
		t.Error("without the mesh no request was seen between the nodes: the capture proves nothing")
	}
	c.Do(t, "label", "namespace", ns, "leno.dev/inject=enabled")
	c.Do(t, "delete", "pod", "-n", ns, "--all", "--wait")
	start(t, c, ns, api)
	start(t, c, ns, web, client)
	if seen := travels(t, c, ns, "an-order-in-the-mesh"); seen {
		t.Error("in the mesh the text of a request was seen between the nodes")
	}
	t.Run("edges", func(t *testing.T) {
		kube.Wait(t, "secured edges", func() string {
			order(t, c, ns, "again")
			return secured(t, c, ns, "client", "web") + secured(t, c, ns, "web", "api")
		})
	})
	t.Run("golden metrics", func(t *testing.T) {
		kube.Wait(t, "rates and latencies", func() string {
			order(t, c, ns, "again")
			return golden(t, c, ns, "web", "api")
		})
	})
	t.Run("counts", func(t *testing.T) { counts(t, c, ns) })
}

// gateway is nginx that passes all requests on.
func gateway(name, to string) app {
	return app{name: name, image: "nginx", port: 8080, command: nginx("location / { proxy_pass http://" + to + "; }")}
}

// order has the client send a text to the shop and get it back.
func order(t *testing.T, c *kube.Cluster, ns, text string) {
	t.Helper()
	eventually(t, text, func() (string, error) {
		return c.Try(t.Context(), "exec", "-n", ns, "client", "--", "curl", "-sS", "-m", "10", "-d", text, "http://web:8080/")
	})
}

// travels tells whether a text that the client sends is seen between the nodes.
func travels(t *testing.T, c *kube.Cluster, ns, text string) bool {
	t.Helper()
	// A name that the mesh does not know yet is no proof: the first order waits
	// until all is known.
	kube.Wait(t, "the shop", func() string {
		order(t, c, ns, "warm")
		return ""
	})
	seen := c.Capture(t, "node2")
	order(t, c, ns, text)
	seen.Stop()
	if seen.Packets() == 0 {
		t.Error("no packets between the nodes")
	}
	return seen.Contains(text)
}

// golden tells what keeps some services from having plausible golden metrics.
func golden(t *testing.T, c *kube.Cluster, ns string, services ...string) (missing string) {
	t.Helper()
	var all []store.ServiceStat
	listed(t, c, &all, "stat", "-n", ns)
	for _, name := range services {
		found := false
		for _, s := range all {
			if s.Name != name {
				continue
			}
			found = true
			if s.SuccessRate == nil || *s.SuccessRate != 1 || s.RPS <= 0 || s.P50 == nil || *s.P50 <= 0 || s.P99 == nil || *s.P99 < *s.P50 {
				return fmt.Sprintf("%+v", s)
			}
		}
		if !found {
			return "nothing of " + name
		}
	}
	return ""
}

// counts sends requests whose status no other has, and compares what each proxy
// on their way counted.
func counts(t *testing.T, c *kube.Cluster, ns string) {
	const requests = 300
	out := c.Exec(t, ns, "client", "curl", "-sS", "-m", "60", "-Z", "--parallel-max", "8", "-o", "/dev/null", "-w", "%{http_code}\\n",
		fmt.Sprintf("http://web:8080/[1-%d]?status=202", requests))
	if got := strings.Count(out, "202\n"); got != requests {
		t.Fatalf("%d of %d requests were answered with 202:\n%s", got, requests, out)
	}
	for _, hop := range [][2]string{{"client", "outbound"}, {"web", "inbound"}, {"web", "outbound"}, {"api", "inbound"}} {
		ip := c.Do(t, "get", "pod", "-n", ns, hop[0], "-o", "jsonpath={.status.podIP}")
		count := func() float64 {
			return counters(t, ip).Sum("response_total", "direction", hop[1], "status_code", "202", "classification", "success")
		}
		kube.Wait(t, fmt.Sprintf("the %s count of %s", hop[1], hop[0]), func() string {
			if n := count(); n < requests {
				return fmt.Sprint(n)
			}
			return ""
		})
		if n := count(); n != requests {
			t.Errorf("the proxy of %s counted %v requests %s: want %d", hop[0], n, hop[1], requests)
		}
	}
}
