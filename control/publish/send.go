package publish

import (
	"fmt"
	"strings"

	"github.com/leno-mesh/leno/control/compile"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
)

// publish sends everything that the proxy should hold and does not, and then
// a heartbeat when one is due. Sets go before the destinations that refer to
// them, and what is no longer needed goes last.
func (s *session) publish(beat bool) error {
	v := s.p.version.Load()
	if v == nil {
		if beat {
			return s.beat(mesh.Version{}, nil)
		}
		return nil
	}
	needed := map[name]bool{{kind: gen.Kind_KIND_INBOUND}: true, {kind: gen.Kind_KIND_BUNDLE}: true}
	if b := s.p.bundle.Load(); b != nil {
		if err := s.resource(name{kind: gen.Kind_KIND_BUNDLE}, *b, *v); err != nil {
			return err
		}
	}
	if err := s.publishInbound(*v); err != nil {
		return err
	}
	for key, t := range s.wanted {
		if err := s.publishDestination(key, t, *v, needed); err != nil {
			return err
		}
	}
	if err := s.remove(needed); err != nil {
		return err
	}
	s.note(func(st *ProxyStatus) { st.Destinations = len(s.wanted) })
	if beat {
		return s.beat(*v, s.sums())
	}
	return nil
}

func (s *session) publishInbound(v mesh.Version) error {
	a := s.fresh(s.inbound, question{workload: s.peer.Workload})
	if a != s.inbound && a.inbound != nil {
		s.note(func(st *ProxyStatus) { st.Name, st.Zone = a.inbound.Name, a.inbound.Zone })
	}
	s.inbound = a
	if !a.found || a.err != nil {
		return nil // what the proxy has is better than nothing
	}
	return s.resource(name{kind: gen.Kind_KIND_INBOUND}, a.encoded, v)
}

func (s *session) publishDestination(key string, t mesh.Target, v mesh.Version, needed map[name]bool) error {
	q := question{caller: compile.Caller{Namespace: s.peer.Identity.Parts().Namespace}, target: t}
	if s.inbound.inbound != nil {
		q.caller.Zone = s.inbound.inbound.Zone
	}
	was := s.destinations[key]
	a := s.fresh(was, q)
	s.destinations[key] = a
	n := name{gen.Kind_KIND_DESTINATION, key}
	needed[n] = true
	for _, k := range a.keys {
		needed[name{gen.Kind_KIND_SET, k}] = true
	}
	if a.err != nil {
		if a != was {
			s.p.cfg.Log.Error("destination cannot be published", "target", t.String(), "err", a.err)
		}
		return nil
	}
	for i, k := range a.keys {
		if err := s.set(k, a.sets[i], v); err != nil {
			return err
		}
	}
	return s.resource(n, a.encoded, v)
}

// fresh gives the answer of now in place of one that may be stale or nil.
func (s *session) fresh(was *answer, q question) *answer {
	if was != nil && was.q == q && !was.stale.Load() {
		return was
	}
	a := s.p.answers.get(q, s)
	if was != a {
		s.p.answers.release(was, s)
	}
	return a
}

// resource sends the whole of a resource when the proxy holds another.
func (s *session) resource(n name, e encoded, v mesh.Version) error {
	if was, ok := s.sent[n]; ok && was.hash == e.hash {
		return nil
	}
	s.sent[n] = sent{hash: e.hash}
	return s.snapshot(n, e.body, e.hash, v)
}

// set sends an endpoint set, by delta when we have what the proxy holds and
// the delta is smaller.
func (s *session) set(key string, set *sharedSet, v mesh.Version) error {
	n := name{gen.Kind_KIND_SET, key}
	was, ok := s.sent[n]
	s.sent[n] = sent{hash: set.Hash(), set: set.Set}
	if ok && was.hash == set.Hash() {
		return nil
	}
	if was.set != nil {
		delta, err := set.deltaFrom(was.set)
		if err != nil {
			return fmt.Errorf("set %s: %w", key, err)
		}
		if len(delta) < len(set.Body()) {
			return s.stream.Send(&gen.ServerMessage{Message: &gen.ServerMessage_Delta{Delta: &gen.SetDelta{
				Key: key, Version: wire.EncodeVersion(v), Base: was.hash, Hash: set.Hash(), Body: delta,
			}}})
		}
	}
	return s.snapshot(n, set.Body(), set.Hash(), v)
}

func (s *session) snapshot(n name, body []byte, hash uint64, v mesh.Version) error {
	return s.stream.Send(&gen.ServerMessage{Message: &gen.ServerMessage_Snapshot{Snapshot: &gen.Snapshot{
		Kind: n.kind, Key: n.key, Version: wire.EncodeVersion(v), Hash: hash, Body: body,
	}}})
}

// remove tells the proxy what is no longer kept up to date for it.
func (s *session) remove(needed map[name]bool) error {
	for n := range s.sent {
		if needed[n] {
			continue
		}
		delete(s.sent, n)
		err := s.stream.Send(&gen.ServerMessage{Message: &gen.ServerMessage_Removed{
			Removed: &gen.ResourceName{Kind: n.kind, Key: n.key},
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *session) sums() *wire.Sums {
	var sums wire.Sums
	for n, r := range s.sent {
		sums.Add(n.kind, n.key, r.hash)
	}
	return &sums
}

// beat sends a heartbeat. Without sums there is nothing to compare yet.
func (s *session) beat(v mesh.Version, sums *wire.Sums) error {
	s.sequence++
	m := &gen.ServerHeartbeat{Version: wire.EncodeVersion(v), Requests: s.requests, Sequence: s.sequence}
	if sums != nil {
		m.Sums = sums.Message()
	}
	return s.stream.Send(&gen.ServerMessage{Message: &gen.ServerMessage_Heartbeat{Heartbeat: m}})
}

func (n name) String() string {
	kind := strings.ToLower(strings.TrimPrefix(n.kind.String(), "KIND_"))
	if n.key == "" {
		return kind
	}
	return kind + " " + n.key
}
