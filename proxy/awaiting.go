package proxy

import (
	"cmp"
	"context"
	"sync"
	"time"

	"github.com/leno-mesh/leno/proxy/balance"
	"github.com/leno-mesh/leno/proxy/flow"
)

const (
	// endpointWait bounds the wait for a destination that has no endpoint at
	// the moment to get one.
	endpointWait = 3 * time.Second
	// StartWait bounds the wait for the only instances there are to start
	// listening.
	StartWait = 10 * time.Second
	// endpointRest is for how long nobody waits after a wait was in vain.
	endpointRest = time.Second
	// MaxAwaiting bounds the requests that wait for one destination.
	MaxAwaiting = 256
)

// outlook is what can be expected of a destination.
type outlook uint8

const (
	empty    outlook = iota // no endpoint, though one may come
	starting                // all that there are have only just started
	usable
)

// outlookOf looks at the endpoints of one backend.
func outlookOf(set *balance.Set[*instance]) outlook {
	switch {
	case set.Started():
		return usable
	case len(set.All()) > 0:
		return starting
	}
	return empty
}

// awaiting is the requests that wait for a destination to get an endpoint.
// The zero value is ready; it is safe for concurrent use.
type awaiting struct {
	most  int           // requests that may wait; 0: MaxAwaiting
	start time.Duration // how long they wait for what starts; 0: StartWait

	mu     sync.Mutex
	change chan struct{} // guarded by mu; closed at the next update
	n      int           // guarded by mu
	inVain time.Duration // guarded by mu; when a wait failed last, 0 for never
	late   bool          // guarded by mu; what is starting took its time already
}

// updated wakes up all: they look again.
func (w *awaiting) updated() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.change != nil {
		close(w.change)
		w.change = nil
	}
	w.inVain, w.late = 0, false
}

// wait returns when there is something to call, which it asks now and after each
// update, or fails with the reason why that is not waited for any more. What is
// still starting after its time is to be tried all the same.
func (w *awaiting) wait(ctx context.Context, clock func() time.Duration, look func() outlook) *flow.Error {
	change := w.next()
	now := look()
	if now == usable {
		return nil
	}
	begin := clock()
	if e := w.enter(begin, now); e != nil {
		return orTry(now, e)
	}
	defer w.leave()
	timer := time.NewTimer(w.patience(now))
	defer timer.Stop()
	for {
		select {
		case <-change:
		case <-timer.C:
			w.gaveUp(clock(), now)
			return orTry(now, flow.NotHanded(flow.NoEndpoints, nil))
		case <-ctx.Done():
			return flow.NotHanded(flow.Draining, context.Cause(ctx))
		}
		change = w.next()
		if now = look(); now == usable {
			return nil
		}
		timer.Reset(max(begin+w.patience(now)-clock(), 0))
	}
}

// orTry is the end of a wait in vain: none where something is starting, since the
// control plane may only not know yet, or not be there to say, that it listens.
func orTry(now outlook, e *flow.Error) *flow.Error {
	if now == starting && e.Reason == flow.NoEndpoints {
		return nil
	}
	return e
}

// patience is for how long a request waits for something better.
func (w *awaiting) patience(now outlook) time.Duration {
	if now == starting {
		return cmp.Or(w.start, StartWait)
	}
	return endpointWait
}

func (w *awaiting) enter(at time.Duration, now outlook) *flow.Error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case now == starting && w.late, now == empty && w.inVain != 0 && at-w.inVain < endpointRest:
		return flow.NotHanded(flow.NoEndpoints, nil)
	case w.n >= cmp.Or(w.most, MaxAwaiting):
		return flow.NotHanded(flow.Overloaded, nil)
	}
	w.n++
	return nil
}

func (w *awaiting) gaveUp(at time.Duration, now outlook) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.inVain, w.late = at, now == starting
}

func (w *awaiting) leave() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n--
}

// next gives what the next update closes.
func (w *awaiting) next() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.change == nil {
		w.change = make(chan struct{})
	}
	return w.change
}
