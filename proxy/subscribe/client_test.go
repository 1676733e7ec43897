package subscribe

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/wire"
	"github.com/leno-mesh/leno/wire/gen"
)

const setKey = "web.shop:80"

func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var at []time.Time
		var asked []string
		c, stop := start(t, Config{Handler: newRecorder(), Dial: func(_ context.Context, _, addr string) (net.Conn, error) {
			mu.Lock()
			defer mu.Unlock()
			at, asked = append(at, time.Now()), append(asked, addr)
			return nil, errors.New("no route")
		}})
		time.Sleep(5 * time.Minute)
		stop()
		if len(at) < 30 {
			t.Fatalf("only %d attempts in five minutes", len(at))
		}
		want := backoffMin
		for i := 1; i < len(at); i++ {
			if gap := at[i].Sub(at[i-1]); gap < want/2 || gap > want {
				t.Errorf("attempt %d after %v, want %v to %v", i, gap, want/2, want)
			}
			want = min(2*want, backoffMax)
		}
		if asked[0] == asked[1] {
			t.Error("the second server is not tried")
		}
		if st := c.Status(); st.Connected || st.LastError == nil || st.Since.IsZero() {
			t.Errorf("status %+v", st)
		}
	})
}

func TestDeltas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, r := newFake(t), newRecorder()
		c, _ := start(t, Config{Handler: r, Dial: f.server.Dial("p", nil)})
		target, body := shop(t, "one")
		c.Watch(target)
		one, two, three := set(t, "a"), set(t, "a", "b"), set(t, "b", "c")
		f.snapshot(gen.Kind_KIND_DESTINATION, wire.TargetKey(target), body)
		synctest.Wait()
		if r.get(target) != nil {
			t.Fatal("a destination without its set was handed out")
		}
		f.snapshot(gen.Kind_KIND_SET, setKey, one.Body())
		f.delta(setKey, one, two)
		synctest.Wait()
		if d := r.get(target); d == nil || len(d.Sets[0].Endpoints) != 2 {
			t.Fatalf("got %+v", d)
		}
		f.take()
		f.delta(setKey, three, one) // of a state that was lost
		synctest.Wait()
		if got := held(f.take()); len(got) != 2 {
			t.Errorf("after a delta that does not fit the proxy told of %d resources, want its whole list", len(got))
		}
		if d := r.get(target); len(d.Sets[0].Endpoints) != 2 {
			t.Errorf("a delta that does not fit was applied: %+v", d)
		}
	})
}

func held(ms []*gen.ProxyMessage) (out []*gen.Held) {
	for _, m := range ms {
		out = append(out, m.GetHeld().GetHeld()...)
	}
	return out
}

// TestRefusedRouteStillGetsEndpoints: the old route stays in use, and it must
// not lead to addresses of the past.
func TestRefusedRouteStillGetsEndpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, r := newFake(t), newRecorder()
		r.refuse = func(d *mesh.Destination) error {
			if d.Route.Rules[0].Name == "bad" {
				return errors.New("bad rule")
			}
			return nil
		}
		c, _ := start(t, Config{Handler: r, Dial: f.server.Dial("p", nil)})
		target, good := shop(t, "good")
		_, bad := shop(t, "bad")
		c.Watch(target)
		synctest.Wait()
		f.snapshot(gen.Kind_KIND_SET, setKey, set(t, "a").Body())
		f.snapshot(gen.Kind_KIND_DESTINATION, wire.TargetKey(target), good)
		f.snapshot(gen.Kind_KIND_DESTINATION, wire.TargetKey(target), bad)
		f.snapshot(gen.Kind_KIND_SET, setKey, set(t, "b").Body())
		synctest.Wait()
		d := r.get(target)
		if d == nil || d.Route.Rules[0].Name != "good" || d.Sets[0].Endpoints[0].Name != "b" {
			t.Errorf("got %+v", d)
		}
		var last *gen.Verdict
		for _, m := range f.take() {
			if v := m.GetVerdict(); v.GetKind() == gen.Kind_KIND_DESTINATION {
				last = v
			}
		}
		if last.GetError() != "bad rule" || last.GetHash() != wire.Hash(bad) {
			t.Errorf("the server heard %+v", last)
		}
	})
}

// TestStartWithoutControlPlane: what one run accepted, the next starts with.
func TestStartWithoutControlPlane(t *testing.T) {
	dir := t.TempDir()
	target, body := shop(t, "one")
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c, stop := start(t, Config{Handler: newRecorder(), Dial: f.server.Dial("p", nil), StateDir: dir})
		c.Watch(target)
		synctest.Wait()
		inbound, err := wire.EncodeInbound(&mesh.Inbound{Workload: "w"})
		if err != nil {
			t.Fatal(err)
		}
		bundle, err := wire.EncodeBundle(mesh.Bundle{TrustDomain: "mesh"})
		if err != nil {
			t.Fatal(err)
		}
		f.snapshot(gen.Kind_KIND_INBOUND, "", inbound)
		f.snapshot(gen.Kind_KIND_BUNDLE, "", bundle)
		f.snapshot(gen.Kind_KIND_SET, setKey, set(t, "a", "b").Body())
		f.snapshot(gen.Kind_KIND_DESTINATION, wire.TargetKey(target), body)
		synctest.Wait()
		stop()
		f.server.Stop()
	})
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		c := New(Config{Handler: r, Dial: refused, StateDir: dir})
		if err := c.Restore(); err != nil {
			t.Fatal(err)
		}
		if r.inbound == nil || r.inbound.Workload != "w" || r.bundle == nil || r.bundle.TrustDomain != "mesh" {
			t.Fatalf("inbound %+v, bundle %+v", r.inbound, r.bundle)
		}
		c.Watch(target)
		if d := r.get(target); d == nil || len(d.Sets[0].Endpoints) != 2 {
			t.Fatalf("destination %+v", d)
		}
		// Not used for a while, and needed again: still nobody to ask.
		c.Unwatch(target)
		delete(r.destination, target)
		c.Watch(target)
		if r.get(target) == nil {
			t.Error("a destination was evicted while disconnected")
		}
	})
	if st, err := os.Stat(filepath.Join(dir, stateFile)); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("state file: %v, %v", st, err)
	}
}

func TestDamagedState(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, stateFile), []byte("\xff\xff"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := New(Config{Handler: newRecorder(), StateDir: dir})
	if err := c.Restore(); err == nil {
		t.Error("a damaged file was taken")
	}
	if err := New(Config{Handler: newRecorder(), StateDir: t.TempDir()}).Restore(); err != nil {
		t.Errorf("no state: %v", err)
	}
}

// TestReconnectTellsWhatIsHeld: watches and holdings travel with the hello.
func TestReconnectTellsWhatIsHeld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, r := newFake(t), newRecorder()
		c, _ := start(t, Config{Handler: r, Dial: f.server.Dial("p", nil)})
		target, body := shop(t, "one")
		c.Watch(target)
		synctest.Wait()
		f.snapshot(gen.Kind_KIND_SET, setKey, set(t, "a").Body())
		f.snapshot(gen.Kind_KIND_DESTINATION, wire.TargetKey(target), body)
		synctest.Wait()
		f.take()
		f.say <- &gen.ServerMessage{Message: &gen.ServerMessage_Goodbye{Goodbye: &gen.Goodbye{Reason: "upgrade", WaitMs: 20000}}}
		synctest.Wait()
		if st := c.Status(); st.Connected || r.get(target) == nil {
			t.Fatalf("connected %v, destination %v", st.Connected, r.get(target))
		}
		time.Sleep(9 * time.Second)
		if got := f.take(); len(got) != 0 {
			t.Error("the proxy came back sooner than it was asked to")
		}
		time.Sleep(12 * time.Second)
		synctest.Wait()
		h := f.take()[0].GetHello()
		if len(h.GetWatches()) != 1 || len(h.GetHeld()) != 2 || h.GetHeld()[0].GetHash() == 0 {
			t.Errorf("hello %+v", h)
		}
	})
}

// TestSilentServer: a server that says nothing at all is left.
func TestSilentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake(t)
		c, _ := start(t, Config{Handler: newRecorder(), Dial: f.server.Dial("p", nil)})
		time.Sleep(silence + time.Millisecond)
		if err := c.Status().LastError; !errors.Is(err, errSilent) {
			t.Errorf("after a minute: %v", err)
		}
	})
}
