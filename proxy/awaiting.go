package proxy

import (
	"context"
	"sync"
	"time"

	"github.com/leno-mesh/leno/proxy/flow"
)

const (
	// endpointWait bounds the wait for a destination that has no endpoint at
	// the moment to get one.
	endpointWait = 3 * time.Second
	// endpointRest is for how long nobody waits after a wait was in vain.
	endpointRest = time.Second
	// MaxAwaiting bounds the requests that wait for one destination.
	MaxAwaiting = 256
)

// awaiting is the requests that wait for a destination to get an endpoint.
// The zero value is ready; it is safe for concurrent use.
type awaiting struct {
	mu     sync.Mutex
	change chan struct{} // guarded by mu; closed at the next update
	n      int           // guarded by mu
	inVain time.Duration // guarded by mu; when a wait failed last, 0 for never
}

// updated wakes up all: they look again.
func (w *awaiting) updated() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.change != nil {
		close(w.change)
		w.change = nil
	}
	w.inVain = 0
}

// wait returns when found says so, which it asks now and after each update,
// or fails with the reason why that is not waited for any more.
func (w *awaiting) wait(ctx context.Context, clock func() time.Duration, found func() bool) *flow.Error {
	if e := w.enter(clock()); e != nil {
		return e
	}
	defer w.leave()
	timer := time.NewTimer(endpointWait)
	defer timer.Stop()
	for {
		change := w.next()
		if found() {
			return nil
		}
		select {
		case <-change:
		case <-timer.C:
			w.mu.Lock()
			w.inVain = clock()
			w.mu.Unlock()
			return flow.NotHanded(flow.NoEndpoints, nil)
		case <-ctx.Done():
			return flow.NotHanded(flow.Draining, context.Cause(ctx))
		}
	}
}

func (w *awaiting) enter(now time.Duration) *flow.Error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.inVain != 0 && now-w.inVain < endpointRest:
		return flow.NotHanded(flow.NoEndpoints, nil)
	case w.n >= MaxAwaiting:
		return flow.NotHanded(flow.Overloaded, nil)
	}
	w.n++
	return nil
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
