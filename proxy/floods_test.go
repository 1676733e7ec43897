package proxy

import (
	"testing"

	"github.com/leno-mesh/leno/proxy/mux"
)

// TestFloodsOfLinks: what many clients do at once, each within its bounds, must
// not end the link that carries all of it.
func TestFloodsOfLinks(t *testing.T) {
	for _, set := range []mux.Floods{{}, {Resets: 10, Idle: 20, Pings: 3}} {
		of := mux.Floods{Resets: set.Resets, Idle: set.Idle}
		if set.Resets == 0 {
			of = mux.Floods{Resets: mux.DefaultResets, Idle: mux.DefaultIdle}
		}
		got := ofLinks(mux.Config{Floods: set}).Floods
		want := mux.Floods{Resets: LinkTimes * of.Resets, Idle: LinkTimes * of.Idle, Pings: set.Pings}
		if got != want {
			t.Errorf("%+v became %+v, want %+v", set, got, want)
		}
	}
}
