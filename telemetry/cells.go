package telemetry

import "sync/atomic"

// maxCells bounds the distinct keys that one object counts by itself.
const maxCells = 32

// cells is a few counters found by key, such as the responses of one edge by
// status. Reading and counting take no lock; a key is new only once.
type cells[K comparable] struct {
	list atomic.Pointer[[]*cell[K]]
}

type cell[K comparable] struct {
	key K
	n   atomic.Uint64
}

// find gives the key's counter, or nil when the key is new.
func (c *cells[K]) find(key K) *atomic.Uint64 {
	list := c.list.Load()
	if list == nil {
		return nil
	}
	for _, e := range *list {
		if e.key == key {
			return &e.n
		}
	}
	return nil
}

// add makes a counter for a new key; the registry's lock must be held.
func (c *cells[K]) add(key K) *atomic.Uint64 {
	var next []*cell[K]
	if list := c.list.Load(); list != nil {
		next = append(next, *list...)
	}
	e := &cell[K]{key: key}
	next = append(next, e)
	c.list.Store(&next)
	return &e.n
}

func (c *cells[K]) len() int {
	if list := c.list.Load(); list != nil {
		return len(*list)
	}
	return 0
}

// total sums all counters.
func (c *cells[K]) total() (n uint64) {
	if list := c.list.Load(); list != nil {
		for _, e := range *list {
			n += e.n.Load()
		}
	}
	return n
}
