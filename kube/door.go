package kube

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
)

// DoorName is the name under which resources from Kubernetes stand in the
// catalog.
const DoorName = "kubernetes"

// Catalog is what the door needs of the catalog.
type Catalog interface {
	Apply(ctx context.Context, door string, batch []catalog.Change) error
	Sync(ctx context.Context, door string) error
}

// Config is what the door needs.
type Config struct {
	Client kubernetes.Interface
	// Dynamic reads HTTPRoutes and AccessPolicies. With none they are not read.
	Dynamic     dynamic.Interface
	Catalog     Catalog
	TrustDomain mesh.TrustDomain
	// Networks are the mesh's own as the operator names them. To these the door
	// adds the ones of Services, and those that nodes give to their pods. The
	// catalog's own settings should have none: the private networks that are
	// right elsewhere hold nodes, load balancers and databases as well.
	Networks []netip.Prefix
	// Discover is how often the door asks whether the kinds of Gateway API and
	// Leno exist by now; 10 s when zero.
	Discover time.Duration
	Log      *slog.Logger // slog.Default when nil
}

// Door brings a cluster into the catalog.
type Door struct {
	cfg     Config
	watched map[kind]cache.SharedIndexInformer
	pending pending
	status  status
	// brought is what the catalog holds of each object; owned by Run.
	brought map[object]catalog.Change
}

// New makes a door. Run opens it.
func New(cfg Config) *Door {
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	if cfg.Discover == 0 {
		cfg.Discover = 10 * time.Second
	}
	d := &Door{
		cfg: cfg, brought: make(map[object]catalog.Change),
		pending: newPending(), status: status{log: cfg.Log},
	}
	d.watched = d.informers()
	return d
}

// Run watches the cluster until ctx ends, and then gives nil. The door has
// synced with the first complete listing of every kind. While the API server
// is away the door goes on with what it has.
func (d *Door) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	ctx = klog.NewContext(ctx, logr.FromSlogHandler(d.cfg.Log.Handler()))
	for k, informer := range d.watched {
		if !optional(k) {
			running.Go(func() { informer.RunWithContext(ctx) })
		}
	}
	found := make(chan struct{})
	running.Go(func() { d.discover(ctx, &running, found) })

	if !d.listed(ctx, found) {
		return nil
	}
	for k, informer := range d.watched {
		for _, key := range informer.GetIndexer().ListKeys() {
			d.pending.add(object{k, key})
		}
	}
	d.pending.add(object{kind: kindNetworks})
	d.flush(ctx)
	if err := d.cfg.Catalog.Sync(ctx, DoorName); err != nil {
		return stopped(ctx, err)
	}
	d.status.synced(time.Now())
	if n := d.strays(); n > 0 {
		d.cfg.Log.Warn("pods have addresses outside of the networks that are known to be the mesh's; name their networks, or until somebody knows such an address it may be called in plain text", "pods", n)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.pending.wake:
			d.flush(ctx)
		}
	}
}

// listed waits for the first complete listing of every kind that exists. It
// gives false when ctx ended first.
func (d *Door) listed(ctx context.Context, found <-chan struct{}) bool {
	select {
	case <-found: // the kinds that may be missing are known, and being listed
	case <-ctx.Done():
		return false
	}
	for k, informer := range d.watched {
		if optional(k) && !d.status.exists(k) {
			continue
		}
		select {
		case <-informer.HasSyncedChecker().Done():
		case <-ctx.Done():
			return false
		}
	}
	return true
}

func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// step is what one object asks of the catalog.
type step struct {
	object  object
	put     catalog.Change // nil when the object brings nothing
	changes []catalog.Change
}

// flush brings the catalog in line with everything that was marked. One object
// that the catalog refuses does not hold up the others.
func (d *Door) flush(ctx context.Context) {
	var steps []step
	var batch []catalog.Change
	for _, o := range d.expand(d.pending.take()) {
		put, err := d.wanted(o)
		if err != nil {
			d.status.wrong(o, err, d.brought[o] != nil)
			continue
		}
		d.status.fine(o)
		s := step{o, put, changesTo(d.brought[o], put)}
		steps, batch = append(steps, s), append(batch, s.changes...)
	}
	if len(batch) == 0 {
		return
	}
	if d.cfg.Catalog.Apply(ctx, DoorName, batch) == nil {
		for _, s := range steps {
			d.bring(s)
		}
		return
	}
	for _, s := range steps {
		switch err := d.cfg.Catalog.Apply(ctx, DoorName, s.changes); {
		case err == nil:
			d.bring(s)
		case ctx.Err() != nil || errors.Is(err, catalog.ErrStopped):
			return
		default:
			d.status.wrong(s.object, err, d.brought[s.object] != nil)
		}
	}
}

func (d *Door) bring(s step) {
	if s.put == nil {
		delete(d.brought, s.object)
		return
	}
	d.brought[s.object] = dropOf(s.put)
}

// changesTo gives the changes that lead from what was brought, named by its
// drop, to what is wanted now; either may be nil. A pod that is started again
// under its name is another workload, so the old one has to go.
func changesTo(brought, put catalog.Change) []catalog.Change {
	var changes []catalog.Change
	if brought != nil && (put == nil || dropOf(put) != brought) {
		changes = append(changes, brought)
	}
	if put != nil {
		changes = append(changes, put)
	}
	return changes
}

func dropOf(put catalog.Change) catalog.Change {
	switch p := put.(type) {
	case catalog.PutService:
		return catalog.DropService{Name: p.Service.Name}
	case catalog.PutEndpointSlice:
		return catalog.DropEndpointSlice{Key: p.Slice.Key}
	case catalog.PutRoute:
		return catalog.DropRoute{Key: p.Route.Key}
	case catalog.PutPolicy:
		return catalog.DropPolicy{Key: p.Policy.Key}
	case catalog.PutWorkload:
		return catalog.DropWorkload{ID: p.Workload.ID}
	case catalog.PutOutsider:
		return catalog.DropOutsider{ID: p.Outsider.ID}
	default:
		return catalog.DropNetworks{}
	}
}
