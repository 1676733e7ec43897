package proxy

import (
	"strings"
	"testing"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
)

// TestDestinationsGiveWay fills the table of destinations and asks for one more:
// the one that is missed the least makes room, unless somebody holds it.
func TestDestinationsGiveWay(t *testing.T) {
	for _, tt := range []struct {
		name string
		// there is what is in the table, the one used last at the end. Their first
		// words say what is known of them, a second one that somebody holds them.
		there []string
		want  string // who gives way
	}{
		{"an invented name", []string{"mesh", "outside", "unknown", "mesh"}, "2"},
		{"one that has no answer", []string{"mesh", "silent", "outside"}, "1"},
		{"the invented one of longest ago", []string{"mesh", "unknown", "unknown"}, "1"},
		{"one outside before one of the mesh", []string{"mesh", "outside"}, "1"},
		{"of the mesh, the one used the longest ago", []string{"mesh", "mesh", "mesh"}, "0"},
		{"never one that is held", []string{"unknown held", "mesh held", "mesh"}, "2"},
		{"all are held", []string{"unknown held", "mesh held", "silent held"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var now time.Duration
			var said []string
			s := &destinations{
				m: make(map[mesh.Target]*destination), meshed: make(map[mesh.Target]bool), most: len(tt.there),
				clock:   func() time.Duration { return now },
				watch:   func(t mesh.Target) { said = append(said, "watch "+t.Host) },
				unwatch: func(t mesh.Target) { said = append(said, "unwatch "+t.Host) },
			}
			for i, what := range tt.there {
				d, err := s.acquire(mesh.Target{Host: string(rune('0' + i))})
				if err != nil {
					t.Fatal(err)
				}
				switch kind, _, _ := strings.Cut(what, " "); kind {
				case "mesh":
					d.current.Store(&resolved{Destination: &mesh.Destination{Kind: mesh.DestinationService}})
				case "outside":
					d.plain.Store(&plainRoute{})
					fallthrough
				case "unknown":
					d.current.Store(&resolved{Destination: &mesh.Destination{Kind: mesh.DestinationUnknown}})
				}
				now += time.Second
				if !strings.HasSuffix(what, "held") {
					s.release(d)
				}
			}
			said = nil
			d, err := s.acquire(mesh.Target{Host: "new"})
			if tt.want == "" {
				if flow.AsError(err, flow.ReasonNone).Reason != flow.Overloaded || len(said) > 0 {
					t.Errorf("%v, %q; want a refusal", err, said)
				}
				return
			}
			if err != nil || d.users.Load() != 1 || s.len() != len(tt.there) {
				t.Errorf("%v, %d of %d", err, s.len(), len(tt.there))
			}
			if got, want := strings.Join(said, ", "), "unwatch "+tt.want+", watch new"; got != want {
				t.Errorf("%s; want %s", got, want)
			}
		})
	}
}

// TestDestinationReturns has one that gave way come back as if it were new, and
// keep what must not be forgotten.
func TestDestinationReturns(t *testing.T) {
	s := &destinations{
		m: make(map[mesh.Target]*destination), meshed: make(map[mesh.Target]bool), most: 1,
		clock: func() time.Duration { return 0 }, watch: func(mesh.Target) {}, unwatch: func(mesh.Target) {},
	}
	first, other := mesh.Target{Host: "first"}, mesh.Target{Host: "other"}
	s.remember(first)
	for _, target := range []mesh.Target{first, other, first} {
		d, err := s.acquire(target)
		if err != nil || d.meshed.Load() != (target == first) {
			t.Fatalf("%s: %v", target.Host, err)
		}
		s.release(d)
	}
}
