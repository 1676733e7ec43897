package authority

import (
	"context"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/leno-mesh/leno/control/ca"
)

// BundleMap is the ConfigMap from which a pod's proxy learns whom to trust and
// whom to ask, before it has a certificate. Nothing in it is secret.
const BundleMap = "leno-bundle"

// The keys of the ConfigMap, which are names of files in the pod.
const (
	BundleKey      = "bundle.pem"   // the trust anchors
	ServerKey      = "server"       // "host:port" of the control plane
	TrustDomainKey = "trust-domain" // the mesh's
)

// injectKey marks namespaces whose pods get a proxy; label or annotation.
const injectKey = "leno.dev/inject"

// putAgain is how long Run waits before it writes again what could not be
// written.
const putAgain = 5 * time.Second

// BundlesConfig says what to keep where.
type BundlesConfig struct {
	Client kubernetes.Interface
	Roots  ca.Roots
	// Namespace is Leno's own, in which nobody needs a bundle.
	Namespace string
	// Server is "host:port" of the control plane as pods reach it.
	Server string
	Log    *slog.Logger // slog.Default when nil
}

// Bundles keeps the ConfigMap in every namespace that injects, and keeps it
// right wherever it is. It is taken away with Leno only: a pod that is being
// started may be about to mount it.
type Bundles struct {
	cfg          BundlesConfig
	spaces, held cache.SharedIndexInformer
	wake         chan struct{}
	complaints   map[string]string // by namespace; owned by Run
}

// NewBundles makes Bundles. Run brings them to life.
func NewBundles(cfg BundlesConfig) (*Bundles, error) {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	b := &Bundles{
		cfg: cfg, wake: make(chan struct{}, 1), complaints: make(map[string]string),
		spaces: informers.NewSharedInformerFactory(cfg.Client, 0).Core().V1().Namespaces().Informer(),
		held:   named(cfg.Client, metav1.NamespaceAll, BundleMap).Core().V1().ConfigMaps().Informer(),
	}
	for _, i := range []cache.SharedIndexInformer{b.spaces, b.held} {
		if _, err := i.AddEventHandler(marks(b.wake)); err != nil {
			return nil, err
		}
	}
	return b, b.spaces.SetTransform(stripNamespace)
}

// stripNamespace leaves what injecting needs.
func stripNamespace(obj any) (any, error) {
	n, ok := obj.(*corev1.Namespace)
	if !ok {
		return obj, nil
	}
	return &corev1.Namespace{
		ObjectMeta: metav1.ObjectMeta{
			Name: n.Name, UID: n.UID, ResourceVersion: n.ResourceVersion,
			Labels:      map[string]string{injectKey: n.Labels[injectKey]},
			Annotations: map[string]string{injectKey: n.Annotations[injectKey]},
		},
		Status: corev1.NamespaceStatus{Phase: n.Status.Phase},
	}, nil
}

// Run keeps the ConfigMaps until ctx ends.
func (b *Bundles) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	for _, i := range []cache.SharedIndexInformer{b.spaces, b.held} {
		running.Go(func() { i.RunWithContext(ctx) })
	}
	for _, i := range []cache.SharedIndexInformer{b.spaces, b.held} {
		select {
		case <-i.HasSyncedChecker().Done():
		case <-ctx.Done():
			return nil
		}
	}
	for {
		changed := b.cfg.Roots.Changed()
		var again <-chan time.Time
		if !b.putAll(ctx) {
			again = time.After(putAgain)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-b.wake:
		case <-changed:
		case <-again:
		}
	}
}

// putAll brings every namespace in line, and says whether all could be.
func (b *Bundles) putAll(ctx context.Context) bool {
	data := b.data()
	fine := true
	for _, obj := range b.spaces.GetStore().List() {
		n := obj.(*corev1.Namespace)
		if ctx.Err() != nil || !b.needs(n) {
			continue
		}
		err := b.put(ctx, n.Name, data)
		b.complain(ctx, n.Name, err)
		fine = fine && err == nil
	}
	return fine
}

// needs says whether a namespace is to have the ConfigMap: it injects, or had
// a pod that asked for the mesh by itself.
func (b *Bundles) needs(n *corev1.Namespace) bool {
	if n.Status.Phase == corev1.NamespaceTerminating || !b.allowed(n.Name) {
		return false
	}
	word := n.Labels[injectKey]
	if word == "" {
		word = n.Annotations[injectKey]
	}
	return word == "enabled" || b.stored(n.Name) != nil
}

// Annotated gives the namespaces that inject because of their annotation alone,
// sorted, once they are all known: no selector of the API server finds them.
func (b *Bundles) Annotated() (names []string, known bool) {
	for _, obj := range b.spaces.GetStore().List() {
		n := obj.(*corev1.Namespace)
		if n.Labels[injectKey] == "" && n.Annotations[injectKey] == "enabled" && b.needs(n) {
			names = append(names, n.Name)
		}
	}
	slices.Sort(names)
	return names, b.spaces.HasSynced()
}

func (b *Bundles) allowed(namespace string) bool {
	return !slices.Contains([]string{b.cfg.Namespace, metav1.NamespaceSystem, metav1.NamespacePublic, corev1.NamespaceNodeLease}, namespace)
}

// Ensure gives a namespace the ConfigMap before it returns: a pod that asks
// for the mesh by itself is about to mount it there.
func (b *Bundles) Ensure(ctx context.Context, namespace string) error {
	if !b.allowed(namespace) {
		return fmt.Errorf("namespace %s is not part of the mesh", namespace)
	}
	return b.put(ctx, namespace, b.data())
}

func (b *Bundles) data() map[string]string {
	bundle := b.cfg.Roots.Bundle()
	var text []byte
	for _, der := range bundle.Anchors {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	}
	return map[string]string{BundleKey: string(text), ServerKey: b.cfg.Server, TrustDomainKey: string(bundle.TrustDomain)}
}

// put makes the ConfigMap say what it should. Two servers that both do so
// write the same, and one of them is told that it came too late.
func (b *Bundles) put(ctx context.Context, namespace string, data map[string]string) error {
	was := b.stored(namespace)
	if was != nil && maps.Equal(was.Data, data) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	all := b.cfg.Client.CoreV1().ConfigMaps(namespace)
	if was == nil {
		_, err := all.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: BundleMap, Labels: labels()}, Data: data,
		}, metav1.CreateOptions{})
		if !apierrors.IsAlreadyExists(err) {
			return err
		}
		// Somebody made it, or the watch is behind: what it says is what counts.
		if was, err = all.Get(ctx, BundleMap, metav1.GetOptions{}); err != nil || maps.Equal(was.Data, data) {
			return err
		}
	}
	now := was.DeepCopy()
	now.Data, now.Labels = data, labels()
	_, err := all.Update(ctx, now, metav1.UpdateOptions{})
	if apierrors.IsConflict(err) {
		return nil // the watch brings what it says now, and then this is looked at again
	}
	return err
}

func (b *Bundles) stored(namespace string) *corev1.ConfigMap {
	obj, _, _ := b.held.GetStore().GetByKey(namespace + "/" + BundleMap) // this store never fails
	m, _ := obj.(*corev1.ConfigMap)
	return m
}

// complain says once what is wrong with a namespace, and when it is over.
func (b *Bundles) complain(ctx context.Context, namespace string, err error) {
	if ctx.Err() != nil {
		return
	}
	was, text := b.complaints[namespace], ""
	if err == nil {
		delete(b.complaints, namespace)
	} else {
		text = err.Error()
		b.complaints[namespace] = text
	}
	switch {
	case text == was:
	case text == "":
		b.cfg.Log.Info("trust bundle is there now", "namespace", namespace)
	default:
		b.cfg.Log.Error("pods of a namespace cannot join: its trust bundle was not written", "namespace", namespace, "error", err)
	}
}
