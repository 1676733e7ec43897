package registry

import (
	"context"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"time"

	bolt "go.etcd.io/bbolt"

	"github.com/leno-mesh/leno/mesh"
)

// Session is one stream of a registered workload. While it is open the
// workload's lease does not run.
type Session struct {
	r    *Registry
	id   mesh.WorkloadID
	once sync.Once
	done chan struct{}
}

// Connect begins a session: who comes is known from the certificate, what it
// offers is checked against its token. A nil registration offers what it
// offered last; a client that only calls others registers no services.
//
// A second session of the same workload takes the place of the first, whose
// Replaced is closed: after a cut the new stream often comes before the old
// one is known to be dead.
func (r *Registry) Connect(ctx context.Context, id mesh.WorkloadID, who mesh.Identity, reg *mesh.Registration) (*Session, error) {
	s, err := r.begin(id, who, reg)
	if err != nil {
		return nil, err
	}
	r.poke()
	if err := r.flush(ctx); err != nil {
		return nil, s.abandon(err)
	}
	return s, nil
}

func (r *Registry) begin(id mesh.WorkloadID, who mesh.Identity, reg *mesh.Registration) (*Session, error) {
	r.emit.Lock() // so that a leave under way does not take the registration away again
	defer r.emit.Unlock()
	w, err := r.register(id, who, reg)
	if err != nil {
		return nil, err
	}
	s := &Session{r: r, id: id, done: make(chan struct{})}
	r.mu.Lock()
	defer r.mu.Unlock()
	if old := r.live[id]; old != nil && old.session != nil {
		old.session.replaced()
	}
	r.live[id] = &instance{w: w, session: s}
	r.dirty[id] = true
	for _, gone := range r.superseded(w) {
		r.dropLocked(gone)
	}
	return s, nil
}

// register keeps what the workload offers, if its token allows that.
func (r *Registry) register(id mesh.WorkloadID, who mesh.Identity, reg *mesh.Registration) (*Workload, error) {
	var w *Workload
	err := r.db.View(func(tx *bolt.Tx) (err error) {
		w, err = known(tx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	if w.Identity != who {
		return nil, refuse("workload %s is %s, not %s", id, w.Identity, who)
	}
	if reg == nil {
		reg = w.Registration
	}
	if reg == nil {
		return nil, refuse("workload %s has registered nothing yet; its proxy must send a registration", id)
	}
	if err := checkRegistration(w.Grant, reg); err != nil {
		return nil, err
	}
	if kept := settled(reg); !reflect.DeepEqual(kept, w.Registration) {
		if w, err = r.update(id, func(w *Workload) { w.Registration = kept }); err != nil {
			return nil, err
		}
	}
	return w.offering(reg), nil
}

// settled is a registration as it is kept: what is starting now is of no use
// after a restart.
func settled(reg *mesh.Registration) *mesh.Registration {
	kept := *reg
	kept.Services = slices.Clone(reg.Services)
	for i := range kept.Services {
		kept.Services[i].Starting = false
	}
	return &kept
}

// offering gives a workload as it is known now, beside its record.
func (w *Workload) offering(reg *mesh.Registration) *Workload {
	now := *w
	now.Registration = reg
	return &now
}

// Update takes a registration that differs from the one before in what is
// starting, and in nothing else.
func (s *Session) Update(ctx context.Context, reg *mesh.Registration) error {
	s.r.mu.Lock()
	i := s.r.live[s.id]
	if i == nil || i.session != s {
		s.r.mu.Unlock()
		return nil // another stream's turn
	}
	if reg == nil || !reflect.DeepEqual(settled(reg), settled(i.w.Registration)) {
		s.r.mu.Unlock()
		return refuse("workload %s changed its registration on an open stream; only what is starting may change there", s.id)
	}
	i.w = i.w.offering(reg)
	s.r.dirty[s.id] = true
	s.r.mu.Unlock()
	return s.r.flush(ctx)
}

// update changes one record.
func (r *Registry) update(id mesh.WorkloadID, change func(*Workload)) (*Workload, error) {
	var w *Workload
	err := r.db.Update(func(tx *bolt.Tx) (err error) {
		if w, err = known(tx, id); err != nil {
			return err
		}
		change(w)
		return put(tx, bucketWorkloads, []byte(id), w)
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}

// superseded gives the instances whose address the new one has taken: an
// earlier life of the same workload, or one whose stream is gone. The address
// of a connected workload of another identity cannot be taken. Called with mu
// held.
func (r *Registry) superseded(w *Workload) []mesh.WorkloadID {
	at := func(reg *mesh.Registration) netip.AddrPort { return netip.AddrPortFrom(reg.Addr, reg.ProxyPort) }
	var gone []mesh.WorkloadID
	for id, i := range r.live {
		if id == w.ID || at(i.w.Registration) != at(w.Registration) {
			continue
		}
		if i.session == nil || i.w.Identity == w.Identity {
			gone = append(gone, id)
		}
	}
	return gone
}

// Replaced is closed when the session holds the lease no more: another stream
// of the workload came, or it was revoked.
func (s *Session) Replaced() <-chan struct{} { return s.done }

func (s *Session) replaced() { s.once.Do(func() { close(s.done) }) }

// Drain marks the workload as leaving: it gets nothing new, and is gone as
// soon as the session ends.
func (s *Session) Drain(ctx context.Context) error {
	s.r.mu.Lock()
	if i := s.r.live[s.id]; i != nil && i.session == s && !i.draining {
		i.draining = true
		s.r.dirty[s.id] = true
	}
	s.r.mu.Unlock()
	return s.r.flush(ctx)
}

// Close ends the session. The lease starts to run, or the workload leaves at
// once when it was draining.
func (s *Session) Close(ctx context.Context) error {
	s.r.mu.Lock()
	i := s.r.live[s.id]
	mine := i != nil && i.session == s
	if mine {
		i.session, i.lostAt = nil, time.Now()
		if i.draining {
			s.r.dropLocked(s.id)
		}
	}
	s.r.mu.Unlock()
	if !mine {
		return nil
	}
	s.r.poke()
	return s.r.flush(ctx)
}

// abandon ends a session that could not begin, and gives why.
func (s *Session) abandon(why error) error {
	s.r.mu.Lock()
	defer s.r.mu.Unlock()
	if i := s.r.live[s.id]; i != nil && i.session == s {
		i.session, i.lostAt = nil, time.Now()
	}
	return why
}

// Revoke ends a workload for good: its endpoints go, its stream ends, and it
// gets no more certificates.
func (r *Registry) Revoke(ctx context.Context, id mesh.WorkloadID) error {
	if _, err := r.update(id, func(w *Workload) { w.Revoked = true }); err != nil {
		return err
	}
	r.mu.Lock()
	r.dropLocked(id)
	r.mu.Unlock()
	return r.flush(ctx)
}

// dropLocked takes an instance away; flush then writes it down. Called with
// mu held.
func (r *Registry) dropLocked(id mesh.WorkloadID) {
	if i := r.live[id]; i != nil && i.session != nil {
		i.session.replaced()
	}
	delete(r.live, id)
	r.dirty[id] = true
}
