package subscribe

import (
	"maps"
	"slices"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
)

// outbox is what this proxy has to say. It holds the latest of everything and
// not a queue, so it stays small however slow the stream is. Client.mu guards
// it.
type outbox struct {
	// dirty are targets whose watch may have changed; true: it was dropped in
	// between, so that the server must be told even when it is wanted again.
	dirty    map[mesh.Target]bool
	told     map[mesh.Target]bool // what the server of this stream knows
	requests uint64               // Watch and Unwatch messages on this stream
	verdicts map[name]*gen.Verdict
	held     bool // the server needs the full list of what is held
	status   bool
	offers   bool                // the registration has changed
	beat     *gen.ProxyHeartbeat // an answer
}

func newOutbox() outbox {
	return outbox{
		dirty:    make(map[mesh.Target]bool),
		told:     make(map[mesh.Target]bool),
		verdicts: make(map[name]*gen.Verdict),
	}
}

// restart empties the outbox for a new stream, whose Hello tells the watches.
func (o *outbox) restart(ws watches) {
	*o = newOutbox()
	for _, t := range ws {
		o.told[t] = true
	}
}

// touch marks a target, and keeps what the mark says already.
func (o *outbox) touch(t mesh.Target) {
	dropped := o.dirty[t]
	o.dirty[t] = dropped
}

// drop marks a target that is wanted no more. One that the server was never told
// leaves nothing behind: there may be any number of these.
func (o *outbox) drop(t mesh.Target) {
	if o.told[t] {
		o.dirty[t] = true
		return
	}
	delete(o.dirty, t)
}

func (o *outbox) say(d delivery, err error) {
	v := &gen.Verdict{Kind: d.name.kind, Key: d.name.key, Hash: d.hash, Version: wire.EncodeVersion(d.version)}
	if err != nil {
		v.Error = clip(err.Error())
	}
	o.verdicts[d.name] = v
}

// requestsFor takes the Watch and Unwatch messages that make the server know
// what is wanted now.
func (o *outbox) requestsFor(ws watches) (out []*gen.ProxyMessage) {
	for t, dropped := range o.dirty {
		_, wanted := ws[wire.TargetKey(t)]
		if o.told[t] && (dropped || !wanted) {
			out = append(out, &gen.ProxyMessage{Message: &gen.ProxyMessage_Unwatch{Unwatch: wire.EncodeTarget(t)}})
			delete(o.told, t)
		}
		if wanted && !o.told[t] {
			out = append(out, &gen.ProxyMessage{Message: &gen.ProxyMessage_Watch{Watch: wire.EncodeTarget(t)}})
			o.told[t] = true
		}
	}
	clear(o.dirty)
	o.requests += uint64(len(out))
	return out
}

// settled says whether the server's sums, made after so many requests, can be
// compared with what is held now.
func (o *outbox) settled(requests uint64) bool {
	return len(o.dirty) == 0 && requests == o.requests
}

// take empties the outbox into messages.
func (c *Client) take() []*gen.ProxyMessage {
	c.mu.Lock()
	report := c.out.beat != nil || c.out.status
	c.mu.Unlock()
	var usage *gen.ProxyStatus
	if report {
		usage = c.usage() // it may read files, so not under the lock
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	o := &c.out
	out := o.requestsFor(c.watches)
	if o.offers {
		o.offers = false
		out = append(out, &gen.ProxyMessage{Message: &gen.ProxyMessage_Registration{Registration: wire.EncodeRegistration(c.offers)}})
	}
	for _, v := range o.verdicts {
		out = append(out, &gen.ProxyMessage{Message: &gen.ProxyMessage_Verdict{Verdict: v}})
	}
	clear(o.verdicts)
	if o.held {
		o.held = false
		list := &gen.HeldList{Held: c.store.held()}
		out = append(out, &gen.ProxyMessage{Message: &gen.ProxyMessage_Held{Held: list}})
	}
	if usage != nil {
		beat := o.beat
		if beat == nil {
			beat = &gen.ProxyHeartbeat{}
		}
		o.beat, o.status = nil, false
		beat.Status = usage
		beat.Status.Draining = c.drained
		beat.Version = wire.EncodeVersion(c.store.version)
		out = append(out, &gen.ProxyMessage{Message: &gen.ProxyMessage_Heartbeat{Heartbeat: beat}})
	}
	return out
}

// hello takes everything that a new stream begins with.
func (c *Client) hello() *gen.ProxyMessage {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.out.restart(c.watches)
	// A server must know at once that a workload is draining.
	c.out.status = true
	signal(c.wake)
	h := &gen.Hello{
		ProxyVersion: c.cfg.Version,
		Registration: wire.EncodeRegistration(c.offers),
		Held:         c.store.held(),
		Version:      wire.EncodeVersion(c.store.version),
	}
	for _, key := range slices.Sorted(maps.Keys(c.watches)) {
		h.Watches = append(h.Watches, wire.EncodeTarget(c.watches[key]))
	}
	return &gen.ProxyMessage{Message: &gen.ProxyMessage_Hello{Hello: h}}
}

func (c *Client) usage() *gen.ProxyStatus {
	u := c.cfg.Usage()
	s := &gen.ProxyStatus{RssBytes: u.RSS, CpuSeconds: u.CPU.Seconds()}
	if !u.CertificateUntil.IsZero() {
		s.CertificateNotAfter = u.CertificateUntil.Unix()
	}
	return s
}
