package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/leno-mesh/leno/mesh"
)

// ErrStopped is given to a door whose change came after the end of Run.
var ErrStopped = errors.New("catalog has stopped")

// Config is what a catalog needs.
type Config struct {
	Settings Settings
	// Doors are those that must have synced before anything is published.
	Doors []string
	// Start is the version of the empty catalog.
	Start mesh.Version
}

// Catalog owns the current Index.
type Catalog struct {
	asks    chan ask
	stopped chan struct{}
	synced  chan struct{}
	view    atomic.Pointer[Index] // written by Run only
	waiting []string              // doors that have not synced; owned by Run
	watches watches
}

// ask is one request to the owner. It is answered exactly once.
type ask struct {
	door    string
	batch   []Change
	replace bool
	sync    bool
	answer  chan error // with room for the answer
}

// New makes an empty catalog. Run brings it to life.
func New(cfg Config) *Catalog {
	c := &Catalog{
		asks:    make(chan ask),
		stopped: make(chan struct{}),
		synced:  make(chan struct{}),
		waiting: slices.Clone(cfg.Doors),
	}
	c.view.Store(NewIndex(cfg.Settings, cfg.Start))
	if len(c.waiting) == 0 {
		close(c.synced)
	}
	return c
}

// Run owns the index until ctx ends, and then gives nil. It runs once.
func (c *Catalog) Run(ctx context.Context) error {
	defer close(c.stopped)
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-c.asks:
			a.answer <- c.handle(a)
		}
	}
}

// Apply makes a batch of changes, all of them or none, and gives the reason
// when it was none. When it returns, View shows them.
func (c *Catalog) Apply(ctx context.Context, door string, batch []Change) error {
	return c.ask(ctx, ask{door: door, batch: batch})
}

// Replace makes the door's resources equal to all, which holds only Put
// changes. Like Apply it does the whole or nothing.
func (c *Catalog) Replace(ctx context.Context, door string, all []Change) error {
	for _, p := range all {
		switch p.(type) {
		case DropService, DropEndpointSlice, DropRoute, DropPolicy, DropWorkload, DropOutsider, DropNetworks:
			return fmt.Errorf("replace by door %q: %T is no put", door, p)
		}
	}
	return c.ask(ctx, ask{door: door, batch: all, replace: true})
}

// Sync says that the door has brought its first complete listing. It may be
// said again.
func (c *Catalog) Sync(ctx context.Context, door string) error {
	return c.ask(ctx, ask{door: door, sync: true})
}

// Synced is closed once every door has synced.
func (c *Catalog) Synced() <-chan struct{} { return c.synced }

// View gives the current index.
func (c *Catalog) View() *Index { return c.view.Load() }

func (c *Catalog) ask(ctx context.Context, a ask) error {
	a.answer = make(chan error, 1)
	select {
	case c.asks <- a:
		return <-a.answer // Run answers what it took
	case <-c.stopped:
		return ErrStopped
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (c *Catalog) handle(a ask) error {
	if a.sync {
		return c.markSynced(a.door)
	}
	now := c.view.Load()
	batch := a.batch
	if a.replace {
		batch = now.Difference(a.door, a.batch)
	}
	next, touched, err := now.With(a.door, batch)
	if err != nil || next == now {
		return err
	}
	c.view.Store(next)
	c.watches.tell(touched)
	return nil
}

func (c *Catalog) markSynced(door string) error {
	i := slices.Index(c.waiting, door)
	if i < 0 {
		return nil
	}
	c.waiting = slices.Delete(c.waiting, i, i+1)
	if len(c.waiting) == 0 {
		close(c.synced)
	}
	return nil
}
