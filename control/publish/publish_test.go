package publish

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/control/compile"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/subscribe"
	"github.com/leno-mesh/leno/wire/gen"
)

var (
	web  = mesh.Target{Host: "web", Port: 80}
	cart = mesh.Target{Host: "cart.shop", Port: 80}
)

func TestNothingBeforeEveryDoorHasSynced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.apply(workload("web", 1))
		p := w.proxy("web-1", nil)
		p.Watch(web)
		time.Sleep(time.Minute)
		if !p.Status().Connected || p.called() != 0 {
			t.Fatalf("connected %v, %d snapshots; want a stream without any", p.Status().Connected, p.called())
		}
		if !p.Status().Confirmed.IsZero() {
			t.Error("a server that knows nothing has confirmed something")
		}
		w.sync()
		synctest.Wait()
		if p.inbound == nil || p.endpoints(web) != 1 {
			t.Fatalf("inbound %v, %d endpoints", p.inbound, p.endpoints(web))
		}
	})
}

func TestOnlyWhatIsWatchedAndOnlyWhatChanged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.sync()
		w.apply(workload("web", 1), workload("cart", 2))
		p := w.proxy("cart-2", nil)
		p.Watch(web)
		p.Watch(web)
		synctest.Wait()
		if p.endpoints(web) != 1 || p.endpoints(cart) != -1 {
			t.Fatalf("web %d, cart %d", p.endpoints(web), p.endpoints(cart))
		}
		before := p.called()
		w.apply(workload("payments", 3))
		synctest.Wait()
		if got := p.called(); got != before {
			t.Errorf("%d calls for a service nobody asked for", got-before)
		}
		w.apply(workload("web", 4))
		synctest.Wait()
		if p.endpoints(web) != 2 || p.called() != before+1 {
			t.Errorf("%d endpoints after %d calls", p.endpoints(web), p.called()-before)
		}
		p.Unwatch(web)
		synctest.Wait()
		w.apply(workload("web", 5))
		synctest.Wait()
		if p.called() != before+1 {
			t.Error("an update of what is no longer watched")
		}
		p.Watch(web)
		synctest.Wait()
		if p.endpoints(web) != 3 {
			t.Errorf("%d endpoints after watching again", p.endpoints(web))
		}
		if got := len(w.pub.answers.all); got != 2 {
			t.Errorf("%d answers in use, want the inbound and web", got)
		}
	})
}

// TestLostUpdateHeals makes the publisher believe that it sent what it did
// not; the next heartbeat shows the difference.
func TestLostUpdateHeals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.sync()
		w.apply(workload("web", 1))
		p := w.proxy("web-1", nil)
		p.Watch(web)
		synctest.Wait()

		s := w.pub.sessions["web-1"]
		n := name{gen.Kind_KIND_SET, "web.shop:80"}
		a := w.pub.answers.all[question{caller: compile.Caller{Namespace: "shop"}, target: web}]
		next, err := w.pub.answers.share(n.key, append(a.sets[0].Endpoints(), mesh.Endpoint{Name: "lost"}))
		if err != nil {
			t.Fatal(err)
		}
		a.sets = []*sharedSet{next}
		s.sent[n] = sent{hash: next.Hash(), set: next.Set}
		s.wakeUp() // the session's goroutine sees what was written here
		synctest.Wait()
		if p.endpoints(web) != 1 {
			t.Fatal("nothing was lost")
		}
		time.Sleep(w.beat())
		synctest.Wait()
		if p.endpoints(web) != 2 {
			t.Fatalf("%d endpoints after a heartbeat, want 2", p.endpoints(web))
		}
		time.Sleep(w.beat())
		if age := time.Since(p.Status().Confirmed); age > w.beat() {
			t.Errorf("not confirmed for %v", age)
		}
	})
}

func TestRefusedSnapshot(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.sync()
		w.apply(workload("web", 1))
		p := w.proxy("web-1", nil)
		p.Watch(web)
		synctest.Wait()
		p.mu.Lock()
		p.refuse = true
		p.mu.Unlock()
		w.apply(workload("web", 2))
		time.Sleep(time.Minute)
		if p.endpoints(web) != 1 {
			t.Errorf("%d endpoints, want the one from before", p.endpoints(web))
		}
		if got := p.Status().Refused; len(got) != 1 {
			t.Errorf("the proxy lists %v", got)
		}
		st := w.pub.Proxies()[0]
		if got := st.Refused["destination web:80"]; got != errRefusedHere.Error() {
			t.Errorf("the operator sees %q in %v", got, st.Refused)
		}
		if time.Since(st.Confirmed) > w.beat() {
			t.Error("a refused snapshot is sent again and again")
		}
		p.mu.Lock()
		p.refuse = false
		p.mu.Unlock()
		w.apply(workload("web", 3))
		synctest.Wait()
		if p.endpoints(web) != 3 || len(w.pub.Proxies()[0].Refused) != 0 {
			t.Errorf("%d endpoints, refused %v", p.endpoints(web), w.pub.Proxies()[0].Refused)
		}
	})
}

// TestRestartOfTheServer: another epoch with the same content sends nothing
// again, and what changed meanwhile arrives.
func TestRestartOfTheServer(t *testing.T) {
	bubble(t, func(t *testing.T) {
		first := newWorld(t, 1, nil)
		first.sync()
		first.apply(workload("web", 1), workload("cart", 2))
		if err := first.pub.SetBundle(mesh.Bundle{TrustDomain: "mesh"}); err != nil {
			t.Fatal(err)
		}
		var network dialler
		network.set(first.server.Dial("cart-2", nil))
		p := first.proxy("cart-2", func(c *subscribe.Config) { c.Dial = network.Dial })
		p.Watch(web)
		p.Watch(cart)
		synctest.Wait()
		before := p.called()

		first.stop()
		time.Sleep(time.Minute)
		if p.endpoints(web) != 1 || p.Status().Connected {
			t.Fatalf("web %d, connected %v", p.endpoints(web), p.Status().Connected)
		}
		second := newWorld(t, 2, nil)
		second.apply(workload("web", 1), workload("cart", 2), workload("cart", 3))
		second.sync()
		if err := second.pub.SetBundle(mesh.Bundle{TrustDomain: "mesh"}); err != nil {
			t.Fatal(err)
		}
		network.set(second.server.Dial("cart-2", nil))
		time.Sleep(30 * time.Second)
		if got := p.called() - before; got != 1 {
			t.Errorf("%d snapshots handed out, want only the changed one", got)
		}
		if p.endpoints(cart) != 2 || p.Status().Version.Epoch != 2 {
			t.Errorf("cart %d, version %v", p.endpoints(cart), p.Status().Version)
		}
	})
}

// stalled stops reading once it is told to.
type stalled struct {
	net.Conn
	stall <-chan struct{}
	end   chan struct{}
	once  sync.Once
}

func (c *stalled) Read(b []byte) (int, error) {
	select {
	case <-c.stall:
		<-c.end
		return 0, net.ErrClosed
	default:
		return c.Conn.Read(b)
	}
}

func (c *stalled) Close() error {
	c.once.Do(func() { close(c.end) })
	return c.Conn.Close()
}

func TestSlowProxyHoldsUpNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.sync()
		w.apply(workload("web", 1), workload("cart", 2))
		stall := make(chan struct{})
		conns := 0 // one at a time is dialled
		slow := w.proxy("web-1", func(c *subscribe.Config) {
			c.Dial = w.server.Dial("web-1", func(c net.Conn) net.Conn {
				if conns++; conns > 1 {
					return c
				}
				return &stalled{Conn: c, stall: stall, end: make(chan struct{})}
			})
		})
		quick := w.proxy("cart-2", nil)
		slow.Watch(web)
		quick.Watch(web)
		synctest.Wait()
		close(stall)
		for i := range 50 {
			w.apply(workload("web", 10+i))
			synctest.Wait()
			if got := quick.endpoints(web); got != i+2 {
				t.Fatalf("%d endpoints at the quick proxy, want %d", got, i+2)
			}
		}
		if got := slow.endpoints(web); got > 2 { // one read was under way
			t.Fatalf("%d endpoints at the proxy that does not read", got)
		}
		// Its pings stay unanswered, so it comes back on a new connection. It
		// gets the last state alone, not all those in between.
		before := slow.called()
		time.Sleep(time.Minute)
		if got := slow.endpoints(web); got != 51 {
			t.Errorf("%d endpoints after coming back, want 51", got)
		}
		if got := slow.called() - before; got != 1 {
			t.Errorf("%d snapshots after coming back, want 1", got)
		}
	})
}

func TestStreamEndsBeforeItsCertificate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		connected := 0
		w := newWorld(t, 1, func(c *Config) {
			c.Connected = func(Peer, *mesh.Registration) error {
				mu.Lock()
				defer mu.Unlock()
				connected++
				return nil
			}
		})
		w.life = time.Hour
		w.sync()
		w.apply(workload("web", 1))
		p := w.proxy("web-1", nil)
		p.Watch(web)
		time.Sleep(55 * time.Minute)
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		if connected != 2 || !p.Status().Connected {
			t.Fatalf("%d streams, connected %v; want a second one at once", connected, p.Status().Connected)
		}
	})
}

func TestLeaseHooks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var log []string
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			log = append(log, what)
		}
		w := newWorld(t, 1, func(c *Config) {
			c.Connected = func(p Peer, r *mesh.Registration) error {
				if p.Workload == "thief" {
					return fmt.Errorf("the token does not name service %s", r.Services[0].Service)
				}
				note("connected " + string(p.Workload))
				return nil
			}
			c.Disconnected = func(w mesh.WorkloadID) { note("disconnected " + string(w)) }
			c.Draining = func(w mesh.WorkloadID) { note("draining " + string(w)) }
			c.Registered = func(_ Peer, r *mesh.Registration) error {
				if r.Services == nil {
					return errors.New("that is not what the token names")
				}
				note(fmt.Sprint("starting ", r.Services[0].Starting))
				return nil
			}
		})
		w.sync()
		registration := &mesh.Registration{Services: []mesh.RegisteredPort{{Service: "payments", Port: 80}}}
		thief := w.proxy("thief", func(c *subscribe.Config) { c.Registration = registration })
		time.Sleep(time.Second)
		if err := thief.Status().LastError; err == nil {
			t.Error("a registration that is not allowed was taken")
		}
		thief.stop()

		old := w.proxy("web-1", nil)
		synctest.Wait()
		again := w.proxy("web-1", nil) // the same workload: its proxy was restarted
		synctest.Wait()
		old.stop()
		registration.Services[0].Starting = true
		again.Register(registration)
		synctest.Wait()
		again.Register(&mesh.Registration{})
		synctest.Wait()
		if err := again.Status().LastError; err == nil || !strings.Contains(err.Error(), "not what the token names") {
			t.Errorf("a registration that is not allowed on an open stream: %v", err)
		}
		again.Register(registration) // for the next one
		time.Sleep(time.Minute)
		again.Drain()
		synctest.Wait()
		again.stop()
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		want := []string{
			"connected web-1", "connected web-1", "starting true", "disconnected web-1",
			"connected web-1", "draining web-1", "disconnected web-1",
		}
		if diff := cmp.Diff(want, log); diff != "" {
			t.Error(diff)
		}
	})
}

// TestIncrementalEqualsFromScratch makes random changes and watches come and
// go. What proxies hold must be what a compilation from nothing gives.
func TestIncrementalEqualsFromScratch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := rand.New(rand.NewPCG(1, 2))
		w := newWorld(t, 1, nil)
		w.sync()
		services := []string{"web", "cart", "payments"}
		var targets []mesh.Target
		for _, s := range services {
			targets = append(targets, mesh.Target{Host: s, Port: 80}, mesh.Target{Host: s + ".shop", Port: 80})
		}
		p := w.proxy("web-1", nil)
		watched := make(map[mesh.Target]bool)
		for range 300 {
			n := r.IntN(20)
			put := workload(services[r.IntN(3)], n)
			put.Workload.State = mesh.EndpointState(r.IntN(3))
			switch r.IntN(4) {
			case 0:
				w.apply(catalog.DropWorkload{ID: put.Workload.ID})
			default:
				w.apply(put)
			}
			target := targets[r.IntN(len(targets))]
			if watched[target] {
				p.Unwatch(target)
			} else {
				p.Watch(target)
			}
			watched[target] = !watched[target]
			if r.IntN(3) > 0 {
				continue // several changes at once
			}
			synctest.Wait()
			for target, on := range watched {
				if on {
					w.compare(p, target)
				}
			}
		}
	})
}

func (w *world) compare(p *proxy, target mesh.Target) {
	w.t.Helper()
	want, _ := compile.Destination(w.catalog.View(), compile.Caller{Namespace: "shop"}, target)
	p.mu.Lock()
	defer p.mu.Unlock()
	got := p.destinations[target]
	key := func(d *mesh.Destination) string {
		all := make(map[string]mesh.EndpointState)
		for _, s := range d.Sets {
			for _, e := range s.Endpoints {
				all[fmt.Sprint(s.Service, e.Addr, e.Workload)] = e.State
			}
		}
		return fmt.Sprint(d.Kind, d.Service, d.Default, all)
	}
	if got == nil || key(got) != key(want) {
		w.t.Fatalf("%s:\n got %v\nwant %v", target, got, want)
	}
}

// BenchmarkChange is one endpoint change to many proxies, in memory.
func BenchmarkChange(b *testing.B) {
	as := newAnswers(nil)
	endpoints := make([]mesh.Endpoint, 1000)
	for i := range endpoints {
		endpoints[i] = mesh.Endpoint{Name: fmt.Sprint(i), Workload: mesh.WorkloadID(fmt.Sprint(i))}
	}
	if _, err := as.share("x", endpoints); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		endpoints[0].State = (endpoints[0].State + 1) % 3
		set, err := as.share("x", endpoints)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := set.deltaFrom(set.before); err != nil {
			b.Fatal(err)
		}
	}
}
