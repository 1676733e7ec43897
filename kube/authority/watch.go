package authority

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/leno-mesh/leno/control/ca"
	"github.com/leno-mesh/leno/mesh"
)

// named makes informers for the objects of one name: the rights that Leno has
// name each of them.
func named(client kubernetes.Interface, namespace, name string) informers.SharedInformerFactory {
	return informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithNamespace(namespace),
		informers.WithTweakListOptions(func(o *metav1.ListOptions) {
			o.FieldSelector = fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
		}))
}

// marks gives handlers that put a token into wake.
func marks(wake chan struct{}) cache.ResourceEventHandler {
	mark := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	return cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { mark() }, UpdateFunc: func(any, any) { mark() }, DeleteFunc: func(any) { mark() },
	}
}

// Run follows the Secrets, and renews the issuer where that is Leno's, until
// ctx ends.
func (a *Authority) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	wake := make(chan struct{}, 1)
	watched := make(map[string]cache.SharedIndexInformer)
	for _, name := range []string{AnchorSecret, IssuerSecret} {
		i := named(a.cfg.Client, a.cfg.Namespace, name).Core().V1().Secrets().Informer()
		if _, err := i.AddEventHandler(marks(wake)); err != nil {
			return err
		}
		watched[name] = i
		running.Go(func() { i.RunWithContext(ctx) })
	}
	for _, i := range watched {
		select {
		case <-i.HasSyncedChecker().Done():
		case <-ctx.Done():
			return nil
		}
	}
	for {
		again := a.renewWhenDue(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(again):
		case <-wake:
			a.reload(a.stored(watched, AnchorSecret), a.stored(watched, IssuerSecret))
		}
	}
}

func (a *Authority) stored(watched map[string]cache.SharedIndexInformer, name string) *corev1.Secret {
	obj, _, _ := watched[name].GetStore().GetByKey(a.cfg.Namespace + "/" + name) // this store never fails
	s, _ := obj.(*corev1.Secret)
	return s
}

// reload uses the Secrets of now if they are good.
func (a *Authority) reload(anchor, issuer *corev1.Secret) {
	const stays = "certificate authority refused, the one before stays"
	if issuer == nil {
		a.refuse(fmt.Errorf("secret %s is gone; restore it before the server starts again", IssuerSecret), stays)
		return
	}
	m, err := read(a.cfg.TrustDomain, anchor, issuer, time.Now())
	if err != nil {
		a.refuse(err, stays)
		return
	}
	a.adopt(m)
}

// renewWhenDue makes the next issuer at half of the life of this one, and says
// when to look again.
func (a *Authority) renewWhenDue(ctx context.Context) time.Duration {
	m := a.material()
	if m.anchor == nil || !m.by.Certificate.NotAfter.Before(m.anchor.Certificate.NotAfter) {
		return lookAgain // not Leno's to make, or the next could not live longer
	}
	if wait := time.Until(m.by.HalfLife()); wait > 0 {
		return min(wait, lookAgain)
	}
	if err := a.renew(ctx, m); err != nil && ctx.Err() == nil {
		a.cfg.Log.Error("issuer not renewed", "error", err, "ends", m.by.Certificate.NotAfter)
		return renewAgain
	}
	return time.Second // the watch brings the new one before that
}

// renew puts the next issuer into its Secret, unless somebody else has changed
// it: then the watch brings what is there now.
func (a *Authority) renew(ctx context.Context, m *material) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	s, err := a.get(ctx, IssuerSecret)
	switch {
	case err != nil:
		return err
	case s == nil:
		return errors.New("its Secret is gone")
	}
	if p, _, err := ca.ParsePair(s.Data[certKey], s.Data[privateKey]); err != nil || !p.Certificate.Equal(m.by.Certificate) {
		return nil // another server was first
	}
	p, err := ca.NewIssuer(a.cfg.TrustDomain, *m.anchor, a.cfg.IssuerLifetime, time.Now())
	if err != nil {
		return err
	}
	if _, _, err := ca.Assemble(a.cfg.TrustDomain, m.anchors, p, nil, time.Now()); err != nil {
		return err
	}
	_, err = a.replace(ctx, s, p)
	return err
}

func sameAnchors(a, b mesh.Bundle) bool {
	return a.TrustDomain == b.TrustDomain && slices.EqualFunc(a.Anchors, b.Anchors, bytes.Equal)
}
