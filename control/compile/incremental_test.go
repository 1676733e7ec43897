package compile_test

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/control/compile"
	"github.com/leno-mesh/leno/mesh"
)

// The small world in which changes are drawn, so that they meet.
var (
	propNames    = []string{"a", "b", "c"}
	propSpaces   = []string{"shop", "ops"}
	propAddrs    = []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3"), netip.MustParseAddr("fd00::1")}
	propNetworks = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24"), netip.MustParsePrefix("10.1.0.0/16")}
	propPorts    = []uint16{80, 81, 8080}
	propIDs      = []mesh.WorkloadID{"w1", "w2", "w3", "w4"}
	propDoors    = []string{"file", "registrations"}
	propCallers  = []compile.Caller{{Namespace: "shop"}, {Namespace: "ops"}}
)

// TestIncrementalIsFromScratch changes a catalog step by step. After each step
// every snapshot that was not touched must still be what a fresh compilation
// gives, and the stepwise index must give what one built at once gives.
func TestIncrementalIsFromScratch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ix := newWorld().ix
		now := takeAll(ix)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			door := rapid.SampledFrom(propDoors).Draw(t, "door")
			batch := rapid.SliceOfN(rapid.Custom(drawChange), 1, 3).Draw(t, "batch")
			next, touched, err := ix.With(door, batch)
			if err != nil {
				continue // another door's resource: nothing may have changed
			}
			after := takeAll(next)
			now.check(t, after, touched)
			ix, now = next, after
		}
		now.equal(t, takeAll(rebuild(t, ix)))
	})
}

// shots is every snapshot of the small world.
type shots struct {
	inbound map[mesh.WorkloadID]*mesh.Inbound
	dests   map[question]answer
}

type question struct {
	caller compile.Caller
	target mesh.Target
}

type answer struct {
	dest *mesh.Destination
	deps compile.Deps
}

func takeAll(ix *catalog.Index) shots {
	s := shots{map[mesh.WorkloadID]*mesh.Inbound{}, map[question]answer{}}
	for _, id := range propIDs {
		s.inbound[id], _ = compile.Inbound(ix, id)
	}
	for _, c := range propCallers {
		for _, port := range propPorts {
			for _, n := range propNames {
				s.ask(ix, question{c, mesh.Target{Host: n, Port: port}})
			}
			for _, a := range propAddrs {
				s.ask(ix, question{c, mesh.Target{Addr: a, Port: port}})
			}
		}
	}
	return s
}

func (s shots) ask(ix *catalog.Index, q question) {
	dest, deps := compile.Destination(ix, q.caller, q.target)
	s.dests[q] = answer{dest, deps}
}

func (s shots) check(t *rapid.T, after shots, touched catalog.Touched) {
	for id, was := range s.inbound {
		if _, ok := touched.Workloads[id]; !ok && !touched.All {
			same(t, was, after.inbound[id], "inbound of "+string(id)+" changed untouched")
		}
	}
	for q, was := range s.dests {
		if !was.deps.Touched(touched) {
			same(t, was.dest, after.dests[q].dest, q.target.String()+" changed untouched")
		}
	}
}

func (s shots) equal(t *rapid.T, o shots) {
	for id, was := range s.inbound {
		same(t, was, o.inbound[id], "inbound of "+string(id))
	}
	for q, was := range s.dests {
		same(t, was.dest, o.dests[q].dest, q.target.String())
	}
}

func same(t *rapid.T, a, b any, what string) {
	if reflect.DeepEqual(a, b) {
		return // the usual case, and much cheaper
	}
	opts := []cmp.Option{cmpopts.EquateEmpty(), cmpopts.EquateComparable(netip.Addr{}, netip.AddrPort{}, netip.Prefix{})}
	if d := cmp.Diff(a, b, opts...); d != "" {
		t.Fatalf("%s:\n%s", what, d)
	}
}

// rebuild makes an index of the same resources at once.
func rebuild(t *rapid.T, ix *catalog.Index) *catalog.Index {
	fresh := newWorld().ix
	for _, door := range propDoors {
		var err error
		if fresh, _, err = fresh.With(door, ix.All(door)); err != nil {
			t.Fatal(err)
		}
	}
	return fresh
}

func drawChange(t *rapid.T) catalog.Change {
	key := catalog.Key{Namespace: pick(t, propSpaces), Name: pick(t, propNames)}
	name := mesh.ServiceName(key)
	switch rapid.IntRange(0, 13).Draw(t, "change") {
	case 0:
		return catalog.DropService{Name: name}
	case 1:
		return catalog.DropEndpointSlice{Key: key}
	case 2:
		return catalog.DropRoute{Key: key}
	case 3:
		return catalog.DropPolicy{Key: key}
	case 4:
		return catalog.DropWorkload{ID: pick(t, propIDs)}
	case 5:
		if rapid.IntRange(0, 3).Draw(t, "alias") == 0 {
			return catalog.PutService{Service: catalog.Service{Name: name, Alias: pick(t, propNames) + ".shop"}}
		}
		return catalog.PutService{Service: catalog.Service{
			Name: name, Addrs: []netip.Addr{pick(t, propAddrs)},
			Ports:     []catalog.ServicePort{{Name: "p", Port: pick(t, propPorts), Protocol: drawProtocol(t)}},
			NodeLocal: rapid.Bool().Draw(t, "node local"),
		}}
	case 6:
		return catalog.PutEndpointSlice{Slice: catalog.EndpointSlice{
			Key: key, Service: mesh.ServiceName{Namespace: key.Namespace, Name: pick(t, propNames)},
			Ports: []catalog.SlicePort{{Name: "p", Port: pick(t, propPorts), Protocol: drawProtocol(t)}},
			Endpoints: []catalog.SliceEndpoint{
				{Addr: pick(t, propAddrs), Name: pick(t, propNames), Node: pick(t, propNames), Near: "zone/a"},
				{Addr: pick(t, propAddrs), Name: pick(t, propNames), Unready: rapid.Bool().Draw(t, "unready")},
			},
		}}
	case 7:
		return drawRoute(t, key)
	case 8:
		return drawPolicy(t, key)
	case 9:
		return catalog.DropOutsider{ID: pick(t, propNames)}
	case 10:
		return catalog.PutOutsider{Outsider: catalog.Outsider{ID: pick(t, propNames), Name: "o", Addrs: []netip.Addr{pick(t, propAddrs)}}}
	case 11:
		return catalog.PutNetworks{Networks: catalog.Networks{
			Prefixes: rapid.SliceOfN(rapid.SampledFrom(propNetworks), 0, 2).Draw(t, "networks"),
		}}
	default:
		return drawWorkload(t, key.Namespace)
	}
}

func drawRoute(t *rapid.T, key catalog.Key) catalog.Change {
	service := func() mesh.ServiceName {
		return mesh.ServiceName{Namespace: pick(t, propSpaces), Name: pick(t, propNames)}
	}
	return catalog.PutRoute{Route: catalog.Route{
		Key:     key,
		Parents: []catalog.Parent{{Service: service()}, {Service: service(), Port: pick(t, propPorts)}},
		Rules:   []mesh.Rule{{Backends: []mesh.Backend{{Service: service(), Port: pick(t, propPorts), Weight: 1, Set: -1}}}},
	}}
}

func drawPolicy(t *rapid.T, key catalog.Key) catalog.Change {
	p := catalog.Policy{Key: key, Audit: rapid.Bool().Draw(t, "audit"), Allow: []catalog.Caller{{Any: true}}}
	if rapid.Bool().Draw(t, "by service") {
		p.Services = []mesh.ServiceName{{Namespace: key.Namespace, Name: pick(t, propNames)}}
	} else if rapid.Bool().Draw(t, "by label") {
		p.Selector = map[string]string{"app": pick(t, propNames)}
	}
	if rapid.Bool().Draw(t, "one port") {
		p.Ports = []uint16{pick(t, propPorts)}
	}
	return catalog.PutPolicy{Policy: p}
}

func drawWorkload(t *rapid.T, namespace string) catalog.Change {
	w := catalog.Workload{
		ID: pick(t, propIDs), Namespace: namespace, ServiceAccount: "sa",
		Identity: mesh.NewIdentity("cluster.local", namespace, "sa"),
		State:    mesh.EndpointState(rapid.IntRange(0, 2).Draw(t, "state")), // 0 to 2
	}
	w.Registration = mesh.Registration{Addr: pick(t, propAddrs), ProxyPort: 4143, Labels: map[string]string{"app": pick(t, propNames)}}
	if rapid.Bool().Draw(t, "on Kubernetes") {
		w.AnyPort, w.Addrs = true, []netip.Addr{pick(t, propAddrs)}
		w.Hints = []catalog.PortHint{{Port: pick(t, propPorts), Protocol: drawProtocol(t)}}
		w.Uncaptured = []catalog.PortRange{{First: pick(t, propPorts), Last: 81}}
	}
	for range rapid.IntRange(0, 2).Draw(t, "services") {
		w.Registration.Services = append(w.Registration.Services, mesh.RegisteredPort{
			Service: pick(t, propNames), Port: pick(t, propPorts), Protocol: drawProtocol(t),
			Target: netip.AddrPortFrom(w.Registration.Addr, pick(t, propPorts)),
		})
	}
	return catalog.PutWorkload{Workload: w}
}

func pick[T any](t *rapid.T, from []T) T { return rapid.SampledFrom(from).Draw(t, "pick") }

func drawProtocol(t *rapid.T) mesh.Protocol {
	return mesh.Protocol(rapid.IntRange(0, 2).Draw(t, "protocol")) // 0 to 2
}
