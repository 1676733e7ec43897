//go:build linux

package kube_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/control/store"
	"github.com/leno-mesh/leno/test/harness"
	"github.com/leno-mesh/leno/test/kube"
)

// TestServerAway restarts Leno's server and then takes it away for a while.
// Pods that run notice neither: not one request fails. Pods that start
// meanwhile say what they wait for, and start when it is back.
func TestServerAway(t *testing.T) {
	c := withLeno(t)
	c.Fortio(t)
	ns := c.Namespace(t, "away", "leno.dev/inject=enabled")
	c.Apply(t, ns, fmt.Sprintf(web, "", patient))
	c.WaitReady(t, ns, "deployment/web")
	l := startLoad(t, c, ns, caller{name: "client", target: "http://web/"})

	connected(t, c, ns, 4)
	l.await(5000)
	before := l.succeeded()
	c.Do(t, "rollout", "restart", "-n", "leno-system", "deployment/leno-server")
	c.WaitReady(t, "leno-system", "deployment/leno-server")
	connected(t, c, ns, 4)
	noJump(t, c, l, before)

	scaleServer(t, c, 0)
	c.Apply(t, ns, injected(t, c, "late"))
	waitsForServer(t, c, ns, "late")
	c.Do(t, "run", "-n", ns, "missed", "--image=localhost/fortio:test", "--", "server")
	c.WaitReady(t, ns, "pod/missed") // the API server cannot ask for a proxy
	l.await(500)
	scaleServer(t, c, 1)
	c.WaitReady(t, ns, "pod/late")
	kube.Wait(t, "what was missed in check", func() string {
		if out, complaint, _ := cli(t, c, "check"); !strings.Contains(out, ns+"/Pod missed") {
			return out + complaint
		}
		return ""
	})
	connected(t, c, ns, 5)
	l.await(500)
	l.mustBeGood()
}

// connected waits until so many proxies of a namespace have a stream with the
// server, and have confirmed what it told them.
func connected(t *testing.T, c *kube.Cluster, ns string, want int) {
	t.Helper()
	kube.Wait(t, "streams", func() string {
		out, complaint, _ := cli(t, c, "proxies", "-n", ns, "-o", "json")
		var all []operator.Proxy
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			return err.Error() + complaint
		}
		here := slices.DeleteFunc(all, func(p operator.Proxy) bool { return !p.Connected || p.Confirmed.IsZero() })
		if len(here) != want {
			return fmt.Sprintf("%d of %d: %s", len(here), want, out)
		}
		return ""
	})
}

// noJump checks what a new server says about the calls since a count: it must
// not take those before for news.
func noJump(t *testing.T, c *kube.Cluster, l *load, before float64) {
	t.Helper()
	const window = 600
	const enough = 2000 // for several reports
	kube.Wait(t, "a rate", func() string {
		out, complaint, _ := cli(t, c, "edges", "-n", l.ns, "-w", fmt.Sprint(window, "s"), "-o", "json")
		var all []store.Edge
		if err := json.Unmarshal([]byte(out), &all); err != nil {
			return err.Error() + complaint
		}
		since := l.succeeded() - before
		for _, e := range all {
			if e.Src != l.name || e.Dst != "web" {
				continue
			}
			said := e.RPS * window
			if said > since+before/2 {
				t.Errorf("the server says %.0f requests: expected %.0f at most, and not also the %.0f from before it", said, since, before)
			}
			if said > enough {
				t.Logf("%.0f requests before the restart, %.0f since; the server says %.0f", before, since, said)
				return ""
			}
		}
		return out
	})
}

// scaleServer sets how many servers there are, and waits until it is so. One
// is what there is for other tests.
func scaleServer(t *testing.T, c *kube.Cluster, replicas int) {
	t.Helper()
	scale := func(ctx context.Context, n int) error {
		_, err := c.Try(ctx, "scale", "-n", "leno-system", "deployment/leno-server", fmt.Sprint("--replicas=", n))
		return err
	}
	if err := scale(t.Context(), replicas); err != nil {
		t.Fatal(err)
	}
	if replicas > 0 {
		c.WaitReady(t, "leno-system", "deployment/leno-server")
		return
	}
	t.Cleanup(func() {
		if err := scale(context.Background(), 1); err != nil {
			t.Error(err)
		}
	})
	c.Do(t, "wait", "-n", "leno-system", "pod", "-l", "app.kubernetes.io/name=leno-server", "--for=delete", "--timeout="+kube.Ceiling.String())
}

// injected is a pod that has its proxy before anybody asks the webhook.
func injected(t *testing.T, c *kube.Cluster, name string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), harness.Binary(t, "leno"), "inject", "--proxy-image="+kube.Proxy, "-")
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig)
	cmd.Stdin = strings.NewReader(fmt.Sprintf(waiting, name))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

const waiting = `
apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - {name: app, image: localhost/fortio:test, args: [server]}
`

// waitsForServer waits until a pod says in its events and in its proxy's log
// what it waits for.
func waitsForServer(t *testing.T, c *kube.Cluster, ns, pod string) {
	t.Helper()
	kube.Wait(t, "what the pod waits for", func() string {
		events, _ := c.Try(t.Context(), "get", "events", "-n", ns, "--field-selector=involvedObject.name="+pod, "-o", "jsonpath={.items[*].message}")
		log, _ := c.Try(t.Context(), "logs", "-n", ns, pod, "-c", "leno-proxy")
		if !strings.Contains(events, "waiting") || !strings.Contains(log, "leno-server") {
			return "events: " + events + "\nlog: " + log
		}
		return ""
	})
}
