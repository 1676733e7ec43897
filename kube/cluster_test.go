package kube

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	gvr "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	fakedynamic "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	clienttesting "k8s.io/client-go/testing"
	"sigs.k8s.io/yaml"
)

// cluster is an API server of client-go's fakes that can be away for a while.
type cluster struct {
	core   *fake.Clientset
	custom *fakedynamic.FakeDynamicClient

	mu      sync.Mutex
	away    bool                      // guarded by mu
	watches []watch.Interface         // guarded by mu
	kinds   []*metav1.APIResourceList // guarded by mu
}

var errAway = errors.New("connection refused")

func newCluster() *cluster {
	c := &cluster{core: fake.NewClientset()}
	kinds := map[gvr.GroupVersionResource]string{}
	for k, resource := range customKinds() {
		kinds[resource] = string(k) + "List"
	}
	c.custom = fakedynamic.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), kinds)
	c.cut(&c.core.Fake, c.core.Tracker())
	c.core.PrependReactor("get", "resource", c.discovery)
	c.cut(&c.custom.Fake, c.custom.Tracker())
	return c
}

// cut makes lists and watches fail while the server is away.
func (c *cluster) cut(f *clienttesting.Fake, tracker clienttesting.ObjectTracker) {
	f.PrependReactor("*", "*", func(a clienttesting.Action) (bool, runtime.Object, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		_, asked := a.(clienttesting.ListAction)
		return c.away && asked, nil, errAway
	})
	f.PrependWatchReactor("*", func(a clienttesting.Action) (bool, watch.Interface, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.away {
			return true, nil, errAway
		}
		w, err := tracker.Watch(a.GetResource(), a.GetNamespace())
		if err == nil {
			c.watches = append(c.watches, w)
		}
		return true, w, err
	})
}

// discovery has the one who asks set what is found, so that nobody else reads
// or writes the fake's field.
func (c *cluster) discovery(clienttesting.Action) (bool, runtime.Object, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.away {
		return true, nil, errAway
	}
	c.core.Resources = c.kinds
	return true, nil, nil
}

func (c *cluster) leave() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.away = true
	for _, w := range c.watches {
		w.Stop()
	}
	c.watches = nil
}

func (c *cluster) run(d *datadriven.TestData) (string, error) {
	switch d.Cmd {
	case "apply":
		for doc := range strings.SplitSeq(d.Input, "\n---\n") {
			if err := c.apply([]byte(doc)); err != nil {
				return "", err
			}
		}
	case "delete":
		if err := c.remove(d.CmdArgs[0].Key); err != nil {
			return "", err
		}
	case "kinds":
		var lists []*metav1.APIResourceList
		for _, a := range d.CmdArgs {
			r := customKinds()[kind(a.Key)]
			lists = append(lists, &metav1.APIResourceList{
				GroupVersion: r.GroupVersion().String(), APIResources: []metav1.APIResource{{Name: r.Resource}},
			})
		}
		c.mu.Lock()
		c.kinds = lists
		c.mu.Unlock()
	case "away":
		c.leave()
	case "back":
		c.mu.Lock()
		c.away = false
		c.mu.Unlock()
	case "wait":
		pause, err := time.ParseDuration(d.CmdArgs[0].Key)
		if err != nil {
			return "", err
		}
		time.Sleep(pause)
	}
	synctest.Wait()
	return "ok\n", nil
}

// apply makes the object of a YAML document, or replaces it.
func (c *cluster) apply(doc []byte) error {
	u := &unstructured.Unstructured{}
	if err := yaml.Unmarshal(doc, &u.Object); err != nil {
		return err
	}
	if resource, ok := customKinds()[kind(u.GetKind())]; ok {
		return put(c.custom.Tracker(), resource, u, u)
	}
	obj, _, err := scheme.Codecs.UniversalDeserializer().Decode(doc, nil, nil)
	if err != nil {
		return err
	}
	return put(c.core.Tracker(), coreResources[kind(u.GetKind())], obj, obj.(metav1.Object))
}

func put(tracker clienttesting.ObjectTracker, resource gvr.GroupVersionResource, obj runtime.Object, o metav1.Object) error {
	err := tracker.Create(resource, obj, o.GetNamespace())
	if apierrors.IsAlreadyExists(err) {
		return tracker.Update(resource, obj, o.GetNamespace())
	}
	return err
}

func (c *cluster) remove(path string) error {
	parts := strings.Split(path, "/")
	namespace, name := "", parts[len(parts)-1]
	if len(parts) == 3 {
		namespace = parts[1]
	}
	if resource, ok := customKinds()[kind(parts[0])]; ok {
		return c.custom.Resource(resource).Namespace(namespace).Delete(context.Background(), name, metav1.DeleteOptions{})
	}
	resource, ok := coreResources[kind(parts[0])]
	if !ok {
		return fmt.Errorf("no kind %q", parts[0])
	}
	return c.core.Tracker().Delete(resource, namespace, name)
}

var coreResources = map[kind]gvr.GroupVersionResource{
	kindService:   corev1.SchemeGroupVersion.WithResource("services"),
	kindSlice:     discoveryv1.SchemeGroupVersion.WithResource("endpointslices"),
	kindPod:       corev1.SchemeGroupVersion.WithResource("pods"),
	kindNode:      corev1.SchemeGroupVersion.WithResource("nodes"),
	kindNamespace: corev1.SchemeGroupVersion.WithResource("namespaces"),
}
