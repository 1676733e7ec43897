package kube

import (
	"net/netip"
	"slices"

	"github.com/leno-mesh/leno/control/catalog"
)

const injectEnabled = "enabled"

// Missed gives the pods, as "namespace/name", that asked for the mesh, by
// themselves or by their namespace, and are not in it: the webhook was away
// when they were made, or they were there before.
func (d *Door) Missed() []string {
	var missed []string
	for _, obj := range d.watched[kindPod].GetIndexer().List() {
		r := obj.(*record)
		p, ok := r.value.(*pod)
		if !ok || p.hostNetwork || p.workload != nil || len(p.addrs) == 0 {
			continue
		}
		word := p.inject
		if ns := d.get(object{kindNamespace, r.Namespace}); word == "" && ns != nil {
			word = ns.value.(*namespace).inject
		}
		if word == injectEnabled {
			missed = append(missed, r.Namespace+"/"+r.Name)
		}
	}
	slices.Sort(missed)
	return missed
}

// strays counts the pods with an address outside of the mesh's networks: while
// nobody knows such an address it may be called in plain text.
func (d *Door) strays() int {
	var known []netip.Prefix
	if put, ok := d.networks().(catalog.PutNetworks); ok {
		known = put.Networks.Prefixes
	}
	n := 0
	for _, obj := range d.watched[kindPod].GetIndexer().List() {
		p, ok := obj.(*record).value.(*pod)
		if !ok || p.hostNetwork {
			continue
		}
		if slices.ContainsFunc(p.addrs, func(a netip.Addr) bool {
			return !slices.ContainsFunc(known, func(n netip.Prefix) bool { return n.Contains(a) })
		}) {
			n++
		}
	}
	return n
}
