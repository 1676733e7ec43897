package registry

import (
	"time"

	"github.com/leno-mesh/leno/mesh"
)

// instance is one workload that registered and did not leave.
type instance struct {
	w *Workload
	// session is the stream that holds the lease, nil when there is none.
	session *Session
	// lostAt is when the last stream ended: the lease runs from then. After a
	// restart it is the start.
	lostAt   time.Time
	draining bool
	// shown is what the catalog was told last.
	shown mesh.EndpointState
}

// leases says how long a workload may be away.
type leases struct {
	lease, remove, forget time.Duration
}

// fate is what becomes of an instance.
type fate uint8

const (
	stays fate = iota
	doubted
	removed
)

// judge says what has become of an instance by now, and when to look again
// (zero: not by time). It is a pure function of its arguments: services are
// the instances of each service that this one offers, itself included.
func (l leases) judge(i *instance, services [][]*instance, now time.Time) (fate, time.Time) {
	if i.session != nil {
		return stays, time.Time{}
	}
	expired := i.lostAt.Add(l.lease)
	if now.Before(expired) {
		return stays, expired
	}
	removal := expired.Add(l.remove)
	if now.Before(removal) {
		return doubted, removal
	}
	forget := expired.Add(l.forget)
	if now.Before(forget) && l.mass(i, services) {
		// Looked at again when somebody joins or leaves; by time, seldom.
		return doubted, minTime(forget, now.Add(l.remove))
	}
	return removed, time.Time{}
}

// mass says whether more than half of the instances of one service lost their
// streams within one lease of each other. That is more likely a failure
// between them and us than their death, so none of them is taken away.
func (l leases) mass(i *instance, services [][]*instance) bool {
	for _, peers := range services {
		lost := 0
		for _, p := range peers {
			if p.session == nil && p.lostAt.Sub(i.lostAt).Abs() <= l.lease {
				lost++
			}
		}
		if 2*lost > len(peers) {
			return true
		}
	}
	return false
}

// state is how the catalog should show an instance that is not removed.
func (i *instance) state(f fate) mesh.EndpointState {
	switch {
	case i.draining:
		return mesh.Draining
	case f == doubted:
		return mesh.Doubtful
	default:
		return mesh.Ready
	}
}

func minTime(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
