package proxy

import (
	"testing"

	"github.com/leno-mesh/leno/proxy/mux"
)

// Clients on both sides have parts of what links have, and know how many streams
// one connection may open.
func TestForClients(t *testing.T) {
	c := mux.Config{MaxStreams: 1024, Budget: mux.NewBudget(1 << 20)}
	in, out := forClients(c, 140)
	for name, got := range map[string]mux.Config{"in": in, "out": out} {
		if got.Floods.Resets != mux.DefaultResets/ResetShare {
			t.Errorf("%s: %d resets", name, got.Floods.Resets)
		}
		if got.MaxStreams != 70 || got.Budget.MaxServed != 105 || got.Budget.Limit() != 3<<17 {
			t.Errorf("%s: %d, %d, %d", name, got.MaxStreams, got.Budget.MaxServed, got.Budget.Limit())
		}
	}
	if in.Budget == out.Budget || in.Budget == c.Budget {
		t.Error("they share one part")
	}
	if in, _ := forClients(mux.Config{}, 0); in.MaxStreams != 0 || in.Budget != nil {
		t.Errorf("without bounds: %+v", in)
	}
}
