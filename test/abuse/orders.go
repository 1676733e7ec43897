package abuse

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/leno-mesh/leno/test/harness"
)

// ordersVar makes the test binary be an army, and holds its orders.
const ordersVar = "LENO_TEST_ARMY"

// orders say what an army attacks. What is not named is let alone.
type orders struct {
	Lair netip.AddrPort // where its own application listens

	Forward, Upstream, ToLair netip.AddrPort            // of a proxy for clients
	Admins                    map[string]netip.AddrPort // of proxies
	Inbound                   netip.AddrPort            // a captured port
	Links                     *links
}

// links is where a proxy takes links, what leads behind it, and who comes.
type links struct {
	At       netip.AddrPort
	Workload string
	Band     [3]string // files with the certificates of workloads
}

// march is the whole life of a process that has orders: it attacks until it is
// told to end, and says what became of it.
func march(spec string) error {
	var o orders
	if err := json.Unmarshal([]byte(spec), &o); err != nil {
		return err
	}
	called, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	a := &army{ctx: called, kinds: make(map[string]*tally)}
	if err := a.follow(o); err != nil {
		return err
	}
	<-called.Done()
	a.wg.Wait()
	return json.NewEncoder(os.Stdout).Encode(a.kinds)
}

func (a *army) follow(o orders) error {
	if o.Lair.IsValid() {
		l, err := net.Listen("tcp", o.Lair.String())
		if err != nil {
			return err
		}
		a.wg.Go(func() { serveHostile(a.ctx, l) })
		againstServed(a, o.Forward, o.ToLair)
	}
	if o.Upstream.IsValid() {
		againstClients(a, o.Forward, o.Upstream)
	}
	for name, to := range o.Admins {
		a.send("silent, admin of "+name, 100, plain(to), hold(nil))
		a.send("half a request, admin of "+name, 100, plain(to), hold([]byte("GET /metrics HTTP/1.1\r\n")))
	}
	if o.Inbound.IsValid() {
		againstPlain(a, "inbound", plain(o.Inbound))
		a.send("silent, inbound", 150, plain(o.Inbound), hold(nil)) // more than there are seats
	}
	if o.Links != nil {
		againstLinks(a, o.Links)
	}
	return nil
}

// fight has an army attack for a while, from a process of its own: what holds up that
// one is not to hold up those who are honest. It fails the test for each kind of attack
// of which not one was made in full, or was ended by the proxy where that has to end it.
func fight(t *testing.T, from harness.Place, o orders, short, long time.Duration) {
	t.Helper()
	spec, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	army := harness.Start(t, from, harness.Program{
		Name: "army", Args: []string{"/proc/self/exe"}, Env: []string{ordersVar + "=" + string(spec)},
	})
	if harness.Soak() {
		short = long
	}
	harness.Pass(short)
	army.Signal(syscall.SIGTERM)
	kinds := make(map[string]*tally)
	if err := army.Wait(); err != nil {
		t.Fatalf("the army: %v\n%s", err, army.Output())
	}
	if err := json.Unmarshal([]byte(army.Output()), &kinds); err != nil {
		t.Fatalf("the army: %v\n%s", err, army.Output())
	}
	if len(kinds) == 0 {
		t.Error("the army attacked nobody")
	}
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		k := kinds[name]
		t.Logf("%s: %d connections, %d attacks, %d thrown out", name, k.Dialled, k.Went, k.Thrown)
		if k.Went == 0 {
			t.Errorf("%s: no attack was made", name)
		} else if k.MustBeThrown && k.Thrown == 0 {
			t.Errorf("%s: none was ended by the proxy", name)
		}
	}
}

// enlist makes this process an army where it has orders to be one.
func enlist() {
	spec := os.Getenv(ordersVar)
	if spec == "" {
		return
	}
	if err := march(spec); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}
