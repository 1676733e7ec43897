package kube

import (
	"cmp"
	"slices"
	"sync"
)

// kind is a kind of object that the door watches.
type kind string

// The kinds. Networks are no objects of Kubernetes: they are made of all nodes
// and Services.
const (
	kindService   kind = "Service"
	kindSlice     kind = "EndpointSlice"
	kindPod       kind = "Pod"
	kindNode      kind = "Node"
	kindNamespace kind = "Namespace"
	kindRoute     kind = "HTTPRoute"
	kindPolicy    kind = "AccessPolicy"
	kindNetworks  kind = "networks"
)

// object names one object: its kind, and "namespace/name" or "name".
type object struct {
	kind kind
	key  string
}

// String gives "Kind namespace/name".
func (o object) String() string { return string(o.kind) + " " + o.key }

// pending is the objects that were marked since somebody last looked. However
// often an object changes, it is there once.
type pending struct {
	wake chan struct{} // holds a token while something is marked

	mu      sync.Mutex
	objects map[object]struct{} // guarded by mu
}

func newPending() pending {
	return pending{wake: make(chan struct{}, 1), objects: make(map[object]struct{})}
}

func (p *pending) add(o object) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.objects[o] = struct{}{}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// take gives what is marked, sorted, and marks nothing.
func (p *pending) take() []object {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]object, 0, len(p.objects))
	for o := range p.objects {
		all = append(all, o)
	}
	clear(p.objects)
	slices.SortFunc(all, func(a, b object) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.key, b.key)) })
	return all
}
