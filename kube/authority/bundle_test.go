package authority

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"

	"github.com/leno-mesh/leno/control/ca"
	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
)

func namespace(name, word string) *corev1.Namespace {
	return &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{injectKey: word}}}
}

// anchors are roots with new anchors, of which a test makes as many as it needs.
func anchors(t *testing.T, n int) mesh.Bundle {
	t.Helper()
	b := mesh.Bundle{TrustDomain: td}
	for range n {
		p, err := ca.NewAnchor(td, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		b.Anchors = append(b.Anchors, p.Certificate.Raw)
	}
	return b
}

func runBundles(t *testing.T, c *api, roots ca.Roots, log *strings.Builder) *Bundles {
	t.Helper()
	b, err := NewBundles(BundlesConfig{
		Client: c, Roots: roots, Namespace: ns, Server: "leno-server.leno-system.svc:4180", Log: slog.New(slog.NewTextHandler(log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- b.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return b
}

// held gives the namespaces that have the ConfigMap.
func held(t *testing.T, c *api) map[string]*corev1.ConfigMap {
	t.Helper()
	list, err := c.CoreV1().ConfigMaps("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]*corev1.ConfigMap)
	for i := range list.Items {
		all[list.Items[i].Namespace] = &list.Items[i]
	}
	return all
}

func TestBundles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		byNote := namespace("noted", "")
		byNote.Annotations = map[string]string{injectKey: "enabled"}
		ending := namespace("ending", "enabled")
		ending.Status.Phase = corev1.NamespaceTerminating
		c := newAPI(
			namespace("shop", "enabled"), byNote, namespace("plain", ""), namespace("off", "disabled"), ending,
			namespace("kube-system", "enabled"), namespace(ns, "enabled"),
		)
		var roots ca.Live
		roots.Set(anchors(t, 1), nil)
		var log strings.Builder
		b := runBundles(t, c, &roots, &log)
		runBundles(t, c, &roots, &log) // another server beside it
		synctest.Wait()
		all := held(t, c)
		if len(all) != 2 || all["shop"] == nil || all["noted"] == nil {
			t.Fatalf("bundles in %v", all)
		}
		checkFiles(t, all["shop"], 1)

		// A pod of another namespace asks by itself, then a namespace does.
		if err := b.Ensure(t.Context(), "plain"); err != nil {
			t.Fatal(err)
		}
		if held(t, c)["plain"] == nil {
			t.Error("Ensure came back before the bundle was there")
		}
		if err := b.Ensure(t.Context(), "kube-system"); err == nil {
			t.Error("the system's namespace got a bundle")
		}
		if _, err := c.CoreV1().Namespaces().Update(t.Context(), relabelled(t, c, "off"), metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if held(t, c)["off"] == nil {
			t.Error("a namespace that opted in has no bundle")
		}

		// The anchors change, and somebody spoils or takes away what is there.
		roots.Set(anchors(t, 2), nil)
		synctest.Wait()
		for _, m := range held(t, c) {
			checkFiles(t, m, 2)
		}
		spoilt := held(t, c)["shop"]
		spoilt.Data[ServerKey] = "evil:4180"
		if _, err := c.CoreV1().ConfigMaps("shop").Update(t.Context(), spoilt, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := c.CoreV1().ConfigMaps("noted").Delete(t.Context(), BundleMap, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		all = held(t, c)
		checkFiles(t, all["shop"], 2)
		checkFiles(t, all["noted"], 2)
		if log.Len() > 0 {
			t.Errorf("complained:\n%s", log.String())
		}
	})
}

func relabelled(t *testing.T, c *api, name string) *corev1.Namespace {
	t.Helper()
	n, err := c.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	n = n.DeepCopy()
	n.Labels[injectKey] = "enabled"
	return n
}

// checkFiles reads a ConfigMap as a pod's proxy does.
func checkFiles(t *testing.T, m *corev1.ConfigMap, want int) {
	t.Helper()
	if m == nil {
		t.Error("no ConfigMap")
		return
	}
	dir := mountOf(t, m.Data)
	b, err := dir.Bundle()
	if err != nil || len(b.Anchors) != want || b.TrustDomain != td {
		t.Errorf("%s: bundle of %s with %d anchors, %v; want %d", m.Namespace, b.TrustDomain, len(b.Anchors), err, want)
	}
	if s, err := dir.Servers(); err != nil || len(s) != 1 || s[0] != "leno-server.leno-system.svc:4180" {
		t.Errorf("%s: servers %v, %v", m.Namespace, s, err)
	}
}

// mountOf is the directory that a kubelet makes of a ConfigMap.
func mountOf(t *testing.T, data map[string]string) identity.Mounted {
	t.Helper()
	dir := t.TempDir()
	for name, text := range data {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return identity.Mounted{Dir: dir}
}

// TestBundleRefused has the API server refuse a namespace for a while: that is
// said once, others are served, and it is tried again.
func TestBundleRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newAPI(namespace("shop", "enabled"), namespace("bank", "enabled"))
		refuse := true
		c.PrependReactor("create", "configmaps", func(a clienttesting.Action) (bool, runtime.Object, error) {
			c.mu.Lock()
			defer c.mu.Unlock()
			return refuse && a.GetNamespace() == "shop", nil, errors.New("quota exceeded")
		})
		var roots ca.Live
		roots.Set(anchors(t, 1), nil)
		var log strings.Builder
		runBundles(t, c, &roots, &log)
		time.Sleep(time.Minute)
		synctest.Wait()
		if all := held(t, c); len(all) != 1 || all["bank"] == nil {
			t.Errorf("bundles in %v", all)
		}
		if n := strings.Count(log.String(), "quota exceeded"); n != 1 {
			t.Errorf("said %d times:\n%s", n, log.String())
		}
		c.mu.Lock()
		refuse = false
		c.mu.Unlock()
		time.Sleep(2 * putAgain)
		synctest.Wait()
		if held(t, c)["shop"] == nil || !strings.Contains(log.String(), "is there now") {
			t.Errorf("not tried again:\n%s", log.String())
		}
	})
}
