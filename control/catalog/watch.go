package catalog

import (
	"context"
	"sync"
)

// Watch tells one reader what changed. However slow the reader is, no more
// than one Touched waits for it: later ones are merged into it.
type Watch struct {
	watches *watches
	wake    chan struct{} // holds a token while something is pending

	mu      sync.Mutex // guards pending and has
	pending Touched
	has     bool
}

type watches struct {
	mu  sync.Mutex // guards all
	all map[*Watch]struct{}
}

// Watch begins to watch. The first Next gives everything at once.
func (c *Catalog) Watch() *Watch {
	w := &Watch{watches: &c.watches, wake: make(chan struct{}, 1)}
	c.watches.mu.Lock()
	defer c.watches.mu.Unlock()
	if c.watches.all == nil {
		c.watches.all = make(map[*Watch]struct{})
	}
	c.watches.all[w] = struct{}{}
	w.tell(Touched{Version: c.View().Version(), All: true})
	return w
}

// Next waits until something changed since the last call and says what. A
// View taken afterwards is at least as new as the Version it gives. It fails
// only with the error of ctx.
func (w *Watch) Next(ctx context.Context) (Touched, error) {
	select {
	case <-ctx.Done():
		return Touched{}, ctx.Err()
	case <-w.wake:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.pending
	w.pending, w.has = Touched{}, false
	return t, nil
}

// Close ends the watch.
func (w *Watch) Close() {
	w.watches.mu.Lock()
	defer w.watches.mu.Unlock()
	delete(w.watches.all, w)
}

func (ws *watches) tell(t Touched) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	for w := range ws.all {
		w.tell(t)
	}
}

func (w *Watch) tell(t Touched) {
	w.mu.Lock()
	defer w.mu.Unlock()
	// The sets are shared by all watches: Merge copies before it writes.
	if w.has {
		w.pending.Merge(t)
		return
	}
	w.pending = Touched{}
	w.pending.Merge(t)
	w.has = true
	w.wake <- struct{}{} // has was false, so there is room
}
