package subscribe

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
)

const (
	stateFile = "snapshots.pb"
	maxState  = 64 << 20
	// saveDelay gathers changes, so that a busy mesh does not wear out a disk.
	saveDelay = time.Second
)

// Restore hands out what an earlier run of this proxy knew: its own snapshot
// and the bundle at once, destinations when they are watched and there is
// nobody to ask. No state is no error.
func (c *Client) Restore() error {
	path := filepath.Join(c.cfg.StateDir, stateFile)
	b, err := identity.ReadPrivateFile(path, maxState)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the last snapshots: %w", err)
	}
	var m gen.SavedState
	if err := proto.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("reading the last snapshots from %s: %w", path, err)
	}
	c.change(func() []delivery { return c.store.load(&m) })
	return nil
}

// keepSaving writes the state file after changes, and once more at the end.
func (c *Client) keepSaving(ctx context.Context) {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case <-c.save:
			sleep(ctx, saveDelay)
		}
		if err := c.saveState(); err != nil {
			c.cfg.Log.Error("the last snapshots cannot be kept", "err", err)
		}
	}
}

func (c *Client) saveState() error {
	c.mu.Lock()
	m := c.store.saved()
	c.mu.Unlock()
	b, err := proto.Marshal(m)
	if err != nil {
		return err
	}
	return identity.WritePrivateFile(filepath.Join(c.cfg.StateDir, stateFile), b)
}

// saved gives what the handler accepted last, watched destinations last: they
// are the newest on the shelf of the next run.
func (s *store) saved() *gen.SavedState {
	m := &gen.SavedState{
		Version: wire.EncodeVersion(s.version),
		Inbound: s.inbound.good,
		Bundle:  s.bundle.good,
	}
	for _, key := range s.shelf.order {
		m.Destinations = append(m.Destinations, s.shelf.plans[key].saved())
	}
	for _, e := range s.destinations {
		if e.good != nil {
			m.Destinations = append(m.Destinations, e.good.saved())
		}
	}
	return m
}

func (p *plan) saved() *gen.SavedDestination {
	m := &gen.SavedDestination{Body: p.body}
	for i, set := range p.sets {
		m.Sets = append(m.Sets, &gen.SavedSet{Key: p.keys[i], Body: set.Body()})
	}
	return m
}

// load takes a saved state into an empty store. What cannot be read is left
// out: the server will send it.
func (s *store) load(m *gen.SavedState) (ds []delivery) {
	s.version = wire.DecodeVersion(m.GetVersion())
	if b := m.GetBundle(); b != nil {
		ds = append(ds, s.single(&s.bundle, name{gen.Kind_KIND_BUNDLE, ""}, b, handBundle))
	}
	if b := m.GetInbound(); b != nil {
		ds = append(ds, s.single(&s.inbound, name{gen.Kind_KIND_INBOUND, ""}, b, handInbound))
	}
	for _, d := range m.GetDestinations() {
		if p, err := loadPlan(d); err == nil {
			s.shelf.put(wire.TargetKey(p.value.Target), p)
		}
	}
	return ds
}

func loadPlan(m *gen.SavedDestination) (*plan, error) {
	p, err := readPlan(m.GetBody())
	if err != nil {
		return nil, err
	}
	if len(m.GetSets()) != len(p.keys) {
		return nil, errors.New("saved destination: sets are missing")
	}
	for i, saved := range m.GetSets() {
		set, err := wire.DecodeSet(saved.GetBody())
		if err != nil {
			return nil, err
		}
		if saved.GetKey() != p.keys[i] {
			return nil, errors.New("saved destination: another set")
		}
		p.sets = append(p.sets, set)
	}
	return p, nil
}
