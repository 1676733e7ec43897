package catalog

import (
	"errors"
	"maps"
	"net/netip"
	"reflect"
	"slices"
)

func (c PutOutsider) apply(e *edit) error {
	o := c.Outsider
	o.Door = e.door
	if o.ID == "" {
		return errors.New("outsider without ID")
	}
	old, ok := e.ix.outsiders.get(o.ID)
	if ok {
		if err := e.owns(old.Door, "outsider "+o.ID); err != nil {
			return err
		}
		if reflect.DeepEqual(*old, o) {
			return nil
		}
	}
	e.outsider(old, &o)
	return nil
}

func (c DropOutsider) apply(e *edit) error {
	old, ok := e.ix.outsiders.get(c.ID)
	if !ok {
		return nil
	}
	if err := e.owns(old.Door, "outsider "+c.ID); err != nil {
		return err
	}
	e.outsider(old, nil)
	return nil
}

func (c PutNetworks) apply(e *edit) error {
	e.networks(c.Networks.Prefixes)
	return nil
}

func (DropNetworks) apply(e *edit) error {
	e.networks(nil)
	return nil
}

func (e *edit) outsider(old, now *Outsider) {
	var id string
	var from, to []netip.Addr
	if old != nil {
		id, from = old.ID, old.Addrs
		e.ix.outsiders.drop(id)
	}
	if now != nil {
		id, to = now.ID, now.Addrs
		e.ix.outsiders.set(id, now)
	}
	e.ix.outsiderAt.move(id, from, to)
	e.changed = true
	e.touchAddrs(from)
	e.touchAddrs(to)
	for _, a := range slices.Concat(from, to) {
		// Where a workload is about to give its address away, the outsider
		// decides whether a listed endpoint is meshed.
		if len(e.ix.workloadAt.of(a)) == 0 {
			continue
		}
		e.touchWorkloadsAt(a)
		for _, s := range e.ix.SlicesAt(a) {
			e.touchService(s.Service)
		}
	}
}

// networks are in every proxy's own snapshot, so a change touches all.
func (e *edit) networks(now []netip.Prefix) {
	if slices.Equal(e.ix.doorNetworks[e.door], now) {
		return
	}
	next := maps.Clone(e.ix.doorNetworks)
	if next == nil {
		next = make(map[string][]netip.Prefix)
	}
	next[e.door] = now
	if len(now) == 0 {
		delete(next, e.door)
	}
	e.ix.doorNetworks = next
	e.ix.settings.Networks = e.ix.allNetworks()
	e.changed, e.touched.All = true, true
}

// Outsider gives what is known to have no proxy at an address, or nil.
func (ix *Index) Outsider(a netip.Addr) *Outsider {
	if all := resolve(&ix.outsiders, ix.outsiderAt.of(a)); len(all) > 0 {
		return all[0]
	}
	return nil
}

// allNetworks gives those of the configuration and then those of all doors.
func (ix *Index) allNetworks() []netip.Prefix {
	all := slices.Clone(ix.configured)
	for _, door := range slices.Sorted(maps.Keys(ix.doorNetworks)) {
		for _, p := range ix.doorNetworks[door] {
			if !slices.Contains(all, p) {
				all = append(all, p)
			}
		}
	}
	return all
}
