package subscribe

import (
	"testing"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire"
)

// TestOutboxForgets has targets that are watched and dropped again leave nothing
// behind while the server cannot be told of them.
func TestOutboxForgets(t *testing.T) {
	o, ws := newOutbox(), watches{}
	for _, name := range []string{"one", "two", "three"} {
		target := mesh.Target{Host: name, Port: 80}
		o.touch(target)
		o.drop(target)
	}
	if len(o.dirty) != 0 {
		t.Errorf("%d targets are remembered that nobody wants and the server never knew", len(o.dirty))
	}
	target := mesh.Target{Host: "one", Port: 80}
	ws[wire.TargetKey(target)] = target
	o.touch(target)
	if out := o.requestsFor(ws); len(out) != 1 || out[0].GetWatch() == nil {
		t.Errorf("%v, want a watch", out)
	}
	o.drop(target)
	o.touch(target) // wanted again, and the server must send it again
	if out := o.requestsFor(ws); len(out) != 2 || out[0].GetUnwatch() == nil || out[1].GetWatch() == nil {
		t.Errorf("%v, want it dropped and watched", out)
	}
	delete(ws, wire.TargetKey(target))
	o.drop(target)
	if out := o.requestsFor(ws); len(out) != 1 || out[0].GetUnwatch() == nil {
		t.Errorf("%v, want it dropped", out)
	}
}
