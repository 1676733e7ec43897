package kube

import (
	"context"
	"net/netip"
	"reflect"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
)

// byNode is the index of pods by the node they run on.
const byNode = "node"

// informers makes an informer for each kind. None of them runs yet.
func (d *Door) informers() map[kind]cache.SharedIndexInformer {
	all := informers.NewSharedInformerFactory(d.cfg.Client, 0)
	// Pods that have ended are not sent at all: there may be many of them.
	living := informers.NewSharedInformerFactoryWithOptions(d.cfg.Client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = "status.phase!=Succeeded,status.phase!=Failed"
	}))
	made := map[kind]cache.SharedIndexInformer{
		kindService:   all.Core().V1().Services().Informer(),
		kindSlice:     all.Discovery().V1().EndpointSlices().Informer(),
		kindPod:       living.Core().V1().Pods().Informer(),
		kindNode:      all.Core().V1().Nodes().Informer(),
		kindNamespace: all.Core().V1().Namespaces().Informer(),
	}
	if d.cfg.Dynamic != nil {
		for k, resource := range customKinds() {
			made[k] = dynamicinformer.NewFilteredDynamicInformer(d.cfg.Dynamic, resource, metav1.NamespaceAll, 0, cache.Indexers{}, nil).Informer()
		}
	}
	for k, informer := range made {
		d.prepare(k, informer)
	}
	return made
}

// prepare sets up an informer that was never started, which is the only state
// in which these calls fail.
func (d *Door) prepare(k kind, informer cache.SharedIndexInformer) {
	errs := []error{
		informer.SetTransform(strip),
		informer.SetWatchErrorHandlerWithContext(func(_ context.Context, _ *cache.Reflector, err error) {
			d.status.lost(k, err, time.Now())
		}),
	}
	if k == kindPod {
		errs = append(errs, informer.AddIndexers(cache.Indexers{byNode: func(obj any) ([]string, error) {
			if p, ok := obj.(*record).value.(*pod); ok {
				return []string{p.node}, nil
			}
			return nil, nil
		}}))
	}
	_, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { d.mark(k, obj) },
		DeleteFunc: func(obj any) { d.mark(k, obj) },
		UpdateFunc: func(was, now any) {
			if !sameRecord(was, now) {
				d.mark(k, now)
			}
		},
	})
	for _, err := range append(errs, err) {
		if err != nil {
			panic("kube: preparing the informer of " + string(k) + ": " + err.Error())
		}
	}
}

// sameRecord says whether an update changes nothing for Leno, as most do.
func sameRecord(a, b any) bool {
	was, ok := a.(*record)
	now, ok2 := b.(*record)
	return ok && ok2 && was.UID == now.UID && reflect.DeepEqual(was.value, now.value) && reflect.DeepEqual(was.err, now.err)
}

func (d *Door) mark(k kind, obj any) {
	key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(obj)
	if err != nil {
		return // neither an object nor a tombstone: there is nothing to mark
	}
	d.status.heard(k)
	d.pending.add(object{k, key})
}

// expand adds what depends on the marked objects: a pod's zone is its node's,
// and the networks are made of all nodes and Services.
func (d *Door) expand(marked []object) []object {
	seen := make(map[object]bool, len(marked))
	var all []object
	add := func(o object) {
		if !seen[o] {
			seen[o] = true
			all = append(all, o)
		}
	}
	for _, o := range marked {
		add(o)
		switch o.kind {
		case kindNode:
			add(object{kind: kindNetworks})
			keys, _ := d.watched[kindPod].GetIndexer().IndexKeys(byNode, o.key) // the index exists
			for _, key := range keys {
				add(object{kindPod, key})
			}
		case kindService:
			add(object{kind: kindNetworks})
		}
	}
	return all
}

// get gives what is known of an object, or nil.
func (d *Door) get(o object) *record {
	obj, ok, _ := d.watched[o.kind].GetIndexer().GetByKey(o.key) // this store never fails
	if !ok {
		return nil
	}
	return obj.(*record)
}

// wanted gives the Put that the present state of an object asks for, nil for
// none, or why it cannot be understood.
func (d *Door) wanted(o object) (catalog.Change, error) {
	if o.kind == kindNetworks {
		return d.networks(), nil
	}
	r := d.get(o)
	if r == nil || r.value == nil {
		if r != nil {
			return nil, r.err
		}
		return nil, nil
	}
	switch v := r.value.(type) {
	case catalog.Change:
		return v, nil
	case *pod:
		return d.podChange(o, r, v), nil
	case *node:
		if len(v.addrs) == 0 {
			return nil, nil
		}
		return catalog.PutOutsider{Outsider: catalog.Outsider{ID: "node/" + o.key, Name: o.key, Zone: v.zone, Addrs: v.addrs}}, nil
	}
	return nil, nil
}

// podChange gives a workload for a meshed pod and an outsider for another. A
// pod on the host's network has the node's addresses, and is as little meshed
// as the node.
func (d *Door) podChange(o object, r *record, p *pod) catalog.Change {
	zone := ""
	if n := d.get(object{kindNode, p.node}); n != nil && n.value != nil {
		zone = n.value.(*node).zone
	}
	switch {
	case p.workload != nil:
		w := *p.workload
		w.Identity = mesh.NewIdentity(d.cfg.TrustDomain, w.Namespace, w.ServiceAccount)
		w.Registration.Zone = zone
		return catalog.PutWorkload{Workload: w}
	case p.hostNetwork || len(p.addrs) == 0:
		return nil
	default:
		return catalog.PutOutsider{Outsider: catalog.Outsider{ID: "pod/" + o.key, Name: r.Name, Zone: zone, Addrs: p.addrs}}
	}
}

func (d *Door) networks() catalog.Change {
	var services []netip.Addr
	var pods []netip.Prefix
	for _, obj := range d.watched[kindService].GetIndexer().List() {
		if put, ok := obj.(*record).value.(catalog.PutService); ok {
			services = append(services, put.Service.Addrs...)
		}
	}
	for _, obj := range d.watched[kindNode].GetIndexer().List() {
		pods = append(pods, obj.(*record).value.(*node).pods...)
	}
	return networks(d.cfg.Networks, services, pods)
}

// discover starts the informers of the kinds that a cluster need not have, as
// soon as they exist. It closes found once it has been told of each kind
// whether it does.
func (d *Door) discover(ctx context.Context, running *sync.WaitGroup, found chan<- struct{}) {
	if d.cfg.Dynamic == nil {
		close(found)
		return
	}
	waiting := []kind{kindRoute, kindPolicy}
	for told := false; len(waiting) > 0; {
		missing, err := d.look(ctx, waiting, running)
		pause := d.cfg.Discover
		switch {
		case err != nil && !told:
			pause = min(pause, time.Second) // the first listing waits for this
		case !told:
			told = true
			close(found)
		}
		waiting = missing
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// look starts the informers of those kinds that exist by now, and gives the
// others. An error says that some of these may exist all the same.
func (d *Door) look(ctx context.Context, waiting []kind, running *sync.WaitGroup) (missing []kind, err error) {
	for _, k := range waiting {
		switch exists, e := d.exists(ctx, k); {
		case e != nil:
			err = e
			d.status.lost(k, e, time.Now())
			missing = append(missing, k)
		case !exists:
			d.status.heard(k) // there is nothing to watch, and the server says so
			missing = append(missing, k)
		default:
			d.status.found(k)
			running.Go(func() { d.watched[k].RunWithContext(ctx) })
		}
	}
	return missing, err
}

// exists asks the API server for a kind.
func (d *Door) exists(ctx context.Context, k kind) (bool, error) {
	resource := customKinds()[k]
	list, err := discovery.ToDiscoveryInterfaceWithContext(d.cfg.Client.Discovery()).
		ServerResourcesForGroupVersionWithContext(ctx, resource.GroupVersion().String())
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for _, r := range list.APIResources {
		if r.Name == resource.Resource {
			return true, nil
		}
	}
	return false, nil
}
