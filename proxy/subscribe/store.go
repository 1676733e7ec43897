package subscribe

import (
	"errors"
	"fmt"
	"slices"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
)

// store is what this proxy holds: the bytes as they came, and what the handler
// made of them. It does no I/O and calls nobody; what has to be handed out
// comes back as deliveries. Client.mu guards it.
type store struct {
	version      mesh.Version
	inbound      single
	bundle       single
	destinations map[string]*entry // by key
	sets         map[string]*heldSet
	shelf        shelf
}

// single is a resource of which there is one.
type single struct {
	held    bool
	hash    uint64 // of what came last
	refused string // why that is not in use
	good    []byte // what is in use
}

// entry is one destination.
type entry struct {
	target  mesh.Target
	hash    uint64 // of what came last
	refused string
	latest  *plan // what came last; nil when it could not be read
	good    *plan // what is in use; nil before the first
}

// plan is a destination together with the endpoints it was handed out with.
type plan struct {
	body  []byte
	value *mesh.Destination // without endpoints
	keys  []string
	sets  []*wire.Set // of the same length as keys, once handed out
}

// heldSet is an endpoint set. hash differs from the set's own when the last
// one could not be read.
type heldSet struct {
	set     *wire.Set
	hash    uint64
	refused string
}

// delivery is one value on its way to the handler.
type delivery struct {
	name    name
	hash    uint64
	version mesh.Version
	err     error // it is refused already
	quiet   bool  // the server is not told the outcome
	call    func(Handler) error
	settle  func(error) // notes the outcome in the store
}

func newStore() store {
	return store{destinations: make(map[string]*entry), sets: make(map[string]*heldSet)}
}

// snapshot takes the whole of one resource.
func (s *store) snapshot(m *gen.Snapshot, ws watches) []delivery {
	s.version = wire.DecodeVersion(m.GetVersion())
	n := name{m.GetKind(), m.GetKey()}
	switch n.kind {
	case gen.Kind_KIND_INBOUND:
		return []delivery{s.single(&s.inbound, n, m.GetBody(), handInbound)}
	case gen.Kind_KIND_BUNDLE:
		return []delivery{s.single(&s.bundle, n, m.GetBody(), handBundle)}
	case gen.Kind_KIND_DESTINATION:
		return s.destination(n, m.GetBody(), ws)
	case gen.Kind_KIND_SET:
		set, err := wire.DecodeSet(m.GetBody())
		return s.set(n.key, set, m.GetHash(), err)
	}
	return nil // of a later release
}

func handInbound(h Handler, body []byte) error {
	in, err := wire.DecodeInbound(body)
	if err != nil {
		return err
	}
	return h.Inbound(in)
}

func handBundle(h Handler, body []byte) error {
	b, err := wire.DecodeBundle(body)
	if err != nil {
		return err
	}
	return h.Bundle(b)
}

func (s *store) single(r *single, n name, body []byte, hand func(Handler, []byte) error) delivery {
	r.held, r.hash = true, wire.Hash(body)
	return delivery{
		name: n, hash: r.hash, version: s.version,
		call: func(h Handler) error { return hand(h, body) },
		settle: func(err error) {
			if r.refused = reason(err); err == nil {
				r.good = body
			}
		},
	}
}

func (s *store) destination(n name, body []byte, ws watches) []delivery {
	t, ok := ws[n.key]
	if !ok {
		return nil // dropped while this was on its way
	}
	e := s.destinations[n.key]
	if e == nil {
		e = &entry{target: t}
		s.destinations[n.key] = e
	}
	p, err := readPlan(body)
	if err == nil && p.value.Target != t {
		p, err = nil, fmt.Errorf("it is for %s", p.value.Target)
	}
	e.hash, e.latest, e.refused = wire.Hash(body), p, reason(err)
	if err != nil {
		return []delivery{{name: n, hash: e.hash, version: s.version, err: err}}
	}
	return []delivery{s.deliver(n, e, p)}
}

func readPlan(body []byte) (*plan, error) {
	d, keys, err := wire.DecodeDestination(body)
	if err != nil {
		return nil, err
	}
	return &plan{body: body, value: d, keys: keys}, nil
}

// deliver hands out a plan with the endpoints of now.
func (s *store) deliver(n name, e *entry, p *plan) delivery {
	d := delivery{name: n, hash: e.hash, version: s.version}
	full, err := s.fill(p)
	d.settle = func(err error) {
		if s.destinations[n.key] != e {
			return // dropped meanwhile
		}
		if p == e.latest {
			e.refused = reason(err)
		}
		if err == nil {
			e.good = full
		}
	}
	if err != nil {
		d.err = err
		return d
	}
	d.call = func(h Handler) error { return h.Destination(full.whole()) }
	return d
}

// fill gives the plan with the sets that are held now. One that is no longer
// held is taken from the last time the plan was handed out.
func (s *store) fill(p *plan) (*plan, error) {
	full := &plan{body: p.body, value: p.value, keys: p.keys, sets: make([]*wire.Set, len(p.keys))}
	for i, key := range p.keys {
		h := s.sets[key]
		switch {
		case h != nil && h.set != nil:
			full.sets[i] = h.set
		case p.sets != nil:
			full.sets[i] = p.sets[i]
		default:
			return nil, fmt.Errorf("endpoint set %s is missing", key)
		}
	}
	return full, nil
}

// whole gives the destination with its endpoints.
func (p *plan) whole() *mesh.Destination {
	d := *p.value
	d.Sets = slices.Clone(p.value.Sets)
	for i, set := range p.sets {
		d.Sets[i].Endpoints = set.Endpoints()
	}
	return &d
}

// set takes a new state of an endpoint set and hands out every destination
// that refers to it.
func (s *store) set(key string, set *wire.Set, hash uint64, err error) []delivery {
	h := s.sets[key]
	if h == nil {
		h = &heldSet{}
		s.sets[key] = h
	}
	h.hash, h.refused = hash, reason(err)
	own := delivery{name: name{gen.Kind_KIND_SET, key}, hash: hash, version: s.version, err: err}
	if err != nil {
		return []delivery{own}
	}
	h.set, h.hash = set, set.Hash()
	own.hash = h.hash
	ds := []delivery{own}
	for k, e := range s.destinations {
		n := name{gen.Kind_KIND_DESTINATION, k}
		if e.latest != nil && slices.Contains(e.latest.keys, key) {
			ds = append(ds, s.deliver(n, e, e.latest))
		}
		if e.refused != "" && e.good != nil && slices.Contains(e.good.keys, key) {
			ds = append(ds, s.fallBack(n, e))
		}
	}
	return ds
}

// fallBack gives a destination whose newest form was refused, and is refused
// again, its new endpoints in the form before: the routes stay old, the
// addresses must not.
func (s *store) fallBack(n name, e *entry) delivery {
	d := s.deliver(n, e, e.good)
	d.quiet = true
	if d.call == nil {
		return d
	}
	call, settle := d.call, d.settle
	d.call = func(h Handler) error {
		if e.refused == "" {
			return nil // the newest form is in use now
		}
		return call(h)
	}
	d.settle = func(err error) {
		if e.refused != "" {
			settle(err)
		}
	}
	return d
}

var errOtherBase = errors.New("the delta is for another state")

// delta takes a change of an endpoint set. An error means that it does not
// fit what is held.
func (s *store) delta(m *gen.SetDelta) ([]delivery, error) {
	h := s.sets[m.GetKey()]
	if h == nil || h.set == nil || h.set.Hash() != m.GetBase() {
		return nil, errOtherBase
	}
	next, err := h.set.Apply(m.GetBody())
	if err != nil {
		return nil, err
	}
	if next.Hash() != m.GetHash() {
		return nil, errOtherBase
	}
	s.version = wire.DecodeVersion(m.GetVersion())
	return s.set(m.GetKey(), next, next.Hash(), nil), nil
}

// remove forgets what the server no longer keeps up to date. The inbound and
// the bundle are never taken away.
func (s *store) remove(m *gen.ResourceName) {
	switch m.GetKind() {
	case gen.Kind_KIND_SET:
		delete(s.sets, m.GetKey())
	case gen.Kind_KIND_DESTINATION:
		if e := s.destinations[m.GetKey()]; e != nil {
			s.retire(e.target)
		}
	}
}

func reason(err error) string {
	if err == nil {
		return ""
	}
	return clip(err.Error())
}
