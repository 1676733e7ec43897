package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	// Ceiling is how long anything in a cluster may take before a test gives up.
	Ceiling = 2 * time.Minute
	// pollEvery is how often a condition is looked at: each look is a process.
	pollEvery = 200 * time.Millisecond
)

// Try runs kubectl and gives what it wrote to standard output. The error has
// what it wrote to standard error.
func (c *Cluster) Try(ctx context.Context, args ...string) (string, error) {
	return c.try(ctx, "", args...)
}

func (c *Cluster) try(ctx context.Context, stdin string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, c.Kubectl, append([]string{"--kubeconfig=" + c.Kubeconfig}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), nil
}

// Do runs kubectl, which must succeed, and gives its standard output.
func (c *Cluster) Do(t testing.TB, args ...string) string {
	t.Helper()
	out, err := c.Try(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Apply applies YAML to a namespace ("" for objects without one, or that name
// theirs).
func (c *Cluster) Apply(t testing.TB, namespace, yaml string) {
	t.Helper()
	args := []string{"apply", "-f", "-"}
	if namespace != "" {
		args = append(args, "-n", namespace)
	}
	if out, err := c.try(t.Context(), yaml, args...); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, yaml)
	}
}

// Get decodes an object or list as kubectl get names it: Get(t, &pod, "-n",
// "shop", "pod/web-0").
func (c *Cluster) Get(t testing.TB, into any, args ...string) {
	t.Helper()
	if err := json.Unmarshal([]byte(c.Do(t, append([]string{"get", "-o", "json"}, args...)...)), into); err != nil {
		t.Fatalf("kubectl get %s: %v", strings.Join(args, " "), err)
	}
}

// Exec runs a command in a pod ("web-0", "deploy/web"), in the container that
// the pod names as its default or has first, and gives what it wrote.
func (c *Cluster) Exec(t testing.TB, namespace, pod string, command ...string) string {
	t.Helper()
	return c.Do(t, append([]string{"exec", "-n", namespace, pod, "--"}, command...)...)
}

// Wait looks again and again until done says "", and fails the test with the
// last answer when that takes too long.
func Wait(t testing.TB, what string, done func() (missing string)) {
	t.Helper()
	deadline := time.Now().Add(Ceiling)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		missing := done()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %s", what, Ceiling, missing)
		}
		<-tick.C
	}
}

// WaitReady waits for pods ("pod/web-0") and rollouts ("deployment/web",
// "statefulset/db") to be ready.
func (c *Cluster) WaitReady(t testing.TB, namespace string, names ...string) {
	t.Helper()
	for _, name := range names {
		kind, _, _ := strings.Cut(name, "/")
		if kind == "pod" {
			c.WaitFor(t, namespace, name, "condition=Ready")
			continue
		}
		c.Do(t, "rollout", "status", "-n", namespace, name, "--timeout="+Ceiling.String())
	}
}

// WaitFor waits for a condition as kubectl wait writes it: "condition=Complete",
// "delete", "jsonpath={.status.phase}=Succeeded".
func (c *Cluster) WaitFor(t testing.TB, namespace, name, condition string) {
	t.Helper()
	c.Do(t, "wait", "-n", namespace, name, "--for="+condition, "--timeout="+Ceiling.String())
}

// Namespace makes a namespace for the test, with the name before a number, and
// with labels such as "leno.dev/inject=enabled". It goes with the test.
func (c *Cluster) Namespace(t testing.TB, name string, labels ...string) string {
	t.Helper()
	name += "-" + strconv.FormatInt(time.Now().UnixNano()%1e9, 36)
	c.Do(t, "create", "namespace", name)
	t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), Ceiling)
		defer stop()
		if t.Failed() {
			t.Log(c.Describe(ctx, name))
		}
		if _, err := c.Try(ctx, "delete", "namespace", name, "--wait=false", "--ignore-not-found"); err != nil {
			t.Error(err)
		}
	})
	if len(labels) > 0 {
		c.Do(t, append([]string{"label", "namespace", name}, labels...)...)
	}
	Wait(t, "default service account of "+name, func() string {
		if _, err := c.Try(t.Context(), "get", "serviceaccount", "default", "-n", name); err != nil {
			return err.Error()
		}
		return ""
	})
	return name
}

// Describe tells all that helps to see what went wrong in a namespace: its
// objects, its events and the logs of its pods.
func (c *Cluster) Describe(ctx context.Context, namespace string) string {
	var all strings.Builder
	show := func(args ...string) string {
		out, err := c.Try(ctx, append(args, "-n", namespace)...)
		if err != nil {
			out += err.Error() + "\n"
		}
		fmt.Fprintf(&all, "--- kubectl %s -n %s\n%s", strings.Join(args, " "), namespace, out)
		return out
	}
	show("get", "all", "-o", "wide")
	show("get", "events", "--sort-by=.lastTimestamp")
	names, err := c.Try(ctx, "get", "pods", "-n", namespace, "-o", "name")
	if err != nil {
		return all.String()
	}
	for pod := range strings.FieldsSeq(names) {
		show("logs", pod, "--all-containers", "--prefix", "--ignore-errors", "--tail=60")
	}
	return all.String()
}

// Create posts an object and gives the API server's answer as JSON: for reviews
// of tokens and rights, which are kept nowhere.
func (c *Cluster) Create(t testing.TB, object string) string {
	t.Helper()
	out, err := c.try(t.Context(), object, "create", "-o", "json", "-f", "-")
	if err != nil {
		t.Fatal(err)
	}
	return out
}
