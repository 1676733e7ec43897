package registry

import (
	"context"
	"errors"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
)

// pruneEvery is how often records that nobody can use any more are deleted.
const pruneEvery = time.Hour

// Run tells the catalog who is there, and judges leases until ctx ends.
func (r *Registry) Run(ctx context.Context) error {
	if err := r.flush(ctx); err != nil {
		return stopped(ctx, err)
	}
	if err := r.cfg.Catalog.Sync(ctx, Door); err != nil {
		return stopped(ctx, err)
	}
	prune := time.Now().Add(pruneEvery)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.wake:
		case <-timer.C:
		}
		next := minTime(r.expire(time.Now()), prune)
		if err := r.flush(ctx); err != nil && ctx.Err() == nil {
			r.cfg.Log.Error("registrations not applied; trying again", "error", err)
			next = minTime(next, time.Now().Add(time.Second))
		}
		if !time.Now().Before(prune) {
			if err := r.prune(time.Now()); err != nil {
				r.cfg.Log.Error("old records not deleted", "error", err)
			}
			prune = time.Now().Add(pruneEvery)
			next = minTime(next, prune)
		}
		timer.Reset(time.Until(next))
	}
}

func stopped(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// poke makes Run look at the leases again.
func (r *Registry) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// expire judges every instance and says when to look again.
func (r *Registry) expire(now time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := leases{lease: r.cfg.Lease, remove: r.cfg.RemoveAfter, forget: r.cfg.ForgetAfter}
	services := r.byService()
	next := now.Add(pruneEvery)
	var gone []mesh.WorkloadID
	for id, i := range r.live {
		f, again := l.judge(i, peersOf(i, services), now)
		if f == removed {
			gone = append(gone, id)
			continue
		}
		if s := i.state(f); s != i.shown {
			i.shown = s
			r.dirty[id] = true
		}
		if !again.IsZero() {
			next = minTime(next, again)
		}
	}
	for _, id := range gone {
		r.dropLocked(id)
	}
	return next
}

// byService groups the instances by what they offer. Called with mu held.
func (r *Registry) byService() map[mesh.ServiceName][]*instance {
	out := make(map[mesh.ServiceName][]*instance)
	for _, i := range r.live {
		for _, s := range offers(i) {
			out[s] = append(out[s], i)
		}
	}
	return out
}

func peersOf(i *instance, services map[mesh.ServiceName][]*instance) [][]*instance {
	var out [][]*instance
	for _, s := range offers(i) {
		out = append(out, services[s])
	}
	return out
}

// offers gives an instance's services, each once.
func offers(i *instance) []mesh.ServiceName {
	w := catalog.Workload{Namespace: i.w.Namespace, Registration: *i.w.Registration}
	return w.Offers()
}

// flush tells the catalog about everything that is dirty, in order, and
// writes down who has left. What could not be told stays dirty.
func (r *Registry) flush(ctx context.Context) error {
	r.emit.Lock()
	defer r.emit.Unlock()
	r.mu.Lock()
	dirty := r.dirty
	r.dirty = make(map[mesh.WorkloadID]bool)
	batch, gone := r.changes(dirty)
	r.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	if err := errors.Join(r.cfg.Catalog.Apply(ctx, Door, batch), r.leave(gone)); err != nil {
		r.mu.Lock()
		for id := range dirty {
			r.dirty[id] = true
		}
		r.mu.Unlock()
		r.poke()
		return err
	}
	return nil
}

// changes gives what the catalog must be told. Called with mu held.
func (r *Registry) changes(dirty map[mesh.WorkloadID]bool) (batch []catalog.Change, gone []mesh.WorkloadID) {
	for id := range dirty {
		i := r.live[id]
		if i == nil {
			batch = append(batch, catalog.DropWorkload{ID: id})
			gone = append(gone, id)
			continue
		}
		if i.draining {
			i.shown = mesh.Draining
		}
		batch = append(batch, catalog.PutWorkload{Workload: catalog.Workload{
			ID: id, Identity: i.w.Identity, Namespace: i.w.Namespace, ServiceAccount: i.w.ServiceAccount,
			Registration: *i.w.Registration, State: i.shown,
		}})
	}
	return batch, gone
}

// leave takes the registrations of those who left out of the file, so that a
// restart does not bring them back. One who came back meanwhile stays.
func (r *Registry) leave(ids []mesh.WorkloadID) error {
	if len(ids) == 0 {
		return nil
	}
	return r.db.Update(func(tx *bolt.Tx) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		for _, id := range ids {
			w, err := get[Workload](tx, bucketWorkloads, []byte(id))
			if err != nil {
				return err
			}
			if w == nil || w.Registration == nil || r.live[id] != nil {
				continue
			}
			w.Registration = nil
			if err := put(tx, bucketWorkloads, []byte(id), w); err != nil {
				return err
			}
		}
		return nil
	})
}

// prune deletes tokens and workloads that nothing can bring back.
func (r *Registry) prune(now time.Time) error {
	return r.db.Update(func(tx *bolt.Tx) error {
		var old [][]byte
		tokens, workloads := tx.Bucket(bucketTokens), tx.Bucket(bucketWorkloads)
		err := tokens.ForEach(func(k, _ []byte) error {
			t, err := get[Token](tx, bucketTokens, k)
			if err == nil && now.After(t.Expires.Add(recordKeep)) {
				old = append(old, append([]byte(nil), k...))
			}
			return err
		})
		for _, k := range old {
			err = errors.Join(err, tokens.Delete(k))
		}
		var dead []string
		err = errors.Join(err, each(tx, bucketWorkloads, func(w *Workload) error {
			if w.Registration == nil && now.After(w.CertificateEnd.Add(r.cfg.ExpiredWindow+recordKeep)) {
				dead = append(dead, string(w.ID))
			}
			return nil
		}))
		for _, id := range dead {
			err = errors.Join(err, workloads.Delete([]byte(id)))
		}
		return err
	})
}
