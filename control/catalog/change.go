package catalog

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/leno-mesh/leno/mesh"
)

// Change is one thing that a door says. The set of changes is closed: the
// Put and Drop types of this file.
//
// A Put of what is there already changes nothing and wakes nobody; a Drop of
// what is not there likewise. A door can change only what it brought itself.
// The catalog keeps what a Put holds: the door must not change it later.
type Change interface {
	apply(e *edit) error
	ref() ref
}

// ref names a resource of any kind, to compare two listings.
type ref struct {
	kind kind
	key  Key
}

type kind uint8

const (
	kindService kind = iota
	kindSlice
	kindRoute
	kindPolicy
	kindWorkload
	kindOutsider
	kindNetworks
)

func (r ref) drop() Change {
	switch r.kind {
	case kindService:
		return DropService{mesh.ServiceName(r.key)}
	case kindSlice:
		return DropEndpointSlice{r.key}
	case kindRoute:
		return DropRoute{r.key}
	case kindPolicy:
		return DropPolicy{r.key}
	case kindOutsider:
		return DropOutsider{r.key.Name}
	case kindNetworks:
		return DropNetworks{}
	default:
		return DropWorkload{mesh.WorkloadID(r.key.Name)}
	}
}

// The changes that add a resource or replace one.
type (
	PutService       struct{ Service Service }
	PutEndpointSlice struct{ Slice EndpointSlice }
	PutRoute         struct{ Route Route }
	PutPolicy        struct{ Policy Policy }
	PutWorkload      struct{ Workload Workload }
	PutOutsider      struct{ Outsider Outsider }
	PutNetworks      struct{ Networks Networks } // a door has one of these
)

// The changes that take a resource away.
type (
	DropService       struct{ Name mesh.ServiceName }
	DropEndpointSlice struct{ Key Key }
	DropRoute         struct{ Key Key }
	DropPolicy        struct{ Key Key }
	DropWorkload      struct{ ID mesh.WorkloadID }
	DropOutsider      struct{ ID string }
	DropNetworks      struct{}
)

func (c PutService) ref() ref        { return ref{kindService, Key(c.Service.Name)} }
func (c PutEndpointSlice) ref() ref  { return ref{kindSlice, c.Slice.Key} }
func (c PutRoute) ref() ref          { return ref{kindRoute, c.Route.Key} }
func (c PutPolicy) ref() ref         { return ref{kindPolicy, c.Policy.Key} }
func (c PutWorkload) ref() ref       { return ref{kindWorkload, Key{Name: string(c.Workload.ID)}} }
func (c DropService) ref() ref       { return ref{kindService, Key(c.Name)} }
func (c DropEndpointSlice) ref() ref { return ref{kindSlice, c.Key} }
func (c DropRoute) ref() ref         { return ref{kindRoute, c.Key} }
func (c DropPolicy) ref() ref        { return ref{kindPolicy, c.Key} }
func (c DropWorkload) ref() ref      { return ref{kindWorkload, Key{Name: string(c.ID)}} }

func (c PutOutsider) ref() ref  { return ref{kindOutsider, Key{Name: c.Outsider.ID}} }
func (c PutNetworks) ref() ref  { return ref{kind: kindNetworks} }
func (c DropOutsider) ref() ref { return ref{kindOutsider, Key{Name: c.ID}} }
func (c DropNetworks) ref() ref { return ref{kind: kindNetworks} }

func (c PutService) apply(e *edit) error {
	s := c.Service
	s.Door = e.door
	old := e.ix.Service(s.Name)
	if s.Name.Name == "" || s.Name.Namespace == "" {
		return fmt.Errorf("service %q: no name or no namespace", s.Name)
	}
	if old != nil {
		if err := e.owns(old.Door, "service "+Key(s.Name).String()); err != nil {
			return err
		}
		if reflect.DeepEqual(*old, s) {
			return nil
		}
	}
	e.service(old, &s)
	return nil
}

func (c PutEndpointSlice) apply(e *edit) error {
	s := c.Slice
	s.Door = e.door
	old, ok := e.ix.slices.get(s.Key)
	if ok {
		if err := e.owns(old.Door, "endpoint slice "+s.Key.String()); err != nil {
			return err
		}
		if reflect.DeepEqual(*old, s) {
			return nil
		}
	}
	e.slice(old, &s)
	return nil
}

func (c PutRoute) apply(e *edit) error {
	r := c.Route
	r.Door = e.door
	old, ok := e.ix.routes.get(r.Key)
	if ok {
		if err := e.owns(old.Door, "route "+r.Key.String()); err != nil {
			return err
		}
		if reflect.DeepEqual(*old, r) {
			return nil
		}
	}
	e.route(old, &r)
	return nil
}

func (c PutPolicy) apply(e *edit) error {
	p := c.Policy
	p.Door = e.door
	old, ok := e.ix.policies.get(p.Key)
	if ok {
		if err := e.owns(old.Door, "policy "+p.Key.String()); err != nil {
			return err
		}
		if reflect.DeepEqual(*old, p) {
			return nil
		}
	}
	e.policy(old, &p)
	return nil
}

func (c PutWorkload) apply(e *edit) error {
	w := c.Workload
	w.Door = e.door
	if w.ID == "" || w.Identity == "" || w.Namespace == "" || !w.Registration.Addr.IsValid() {
		return errors.New("workload without ID, identity, namespace or address")
	}
	old := e.ix.Workload(w.ID)
	if old != nil {
		if err := e.owns(old.Door, "workload "+string(w.ID)); err != nil {
			return err
		}
		if reflect.DeepEqual(*old, w) {
			return nil
		}
	}
	e.workload(old, &w)
	return nil
}

func (c DropService) apply(e *edit) error {
	old := e.ix.Service(c.Name)
	if old == nil {
		return nil
	}
	if err := e.owns(old.Door, "service "+Key(c.Name).String()); err != nil {
		return err
	}
	e.service(old, nil)
	return nil
}

func (c DropEndpointSlice) apply(e *edit) error {
	old, ok := e.ix.slices.get(c.Key)
	if !ok {
		return nil
	}
	if err := e.owns(old.Door, "endpoint slice "+c.Key.String()); err != nil {
		return err
	}
	e.slice(old, nil)
	return nil
}

func (c DropRoute) apply(e *edit) error {
	old, ok := e.ix.routes.get(c.Key)
	if !ok {
		return nil
	}
	if err := e.owns(old.Door, "route "+c.Key.String()); err != nil {
		return err
	}
	e.route(old, nil)
	return nil
}

func (c DropPolicy) apply(e *edit) error {
	old, ok := e.ix.policies.get(c.Key)
	if !ok {
		return nil
	}
	if err := e.owns(old.Door, "policy "+c.Key.String()); err != nil {
		return err
	}
	e.policy(old, nil)
	return nil
}

func (c DropWorkload) apply(e *edit) error {
	old := e.ix.Workload(c.ID)
	if old == nil {
		return nil
	}
	if err := e.owns(old.Door, "workload "+string(c.ID)); err != nil {
		return err
	}
	e.workload(old, nil)
	return nil
}
