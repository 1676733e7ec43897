package fault

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

// handed are the reasons of requests that an instance had been given when it
// failed. Any other reason is of a request that nobody had, and should have
// gone elsewhere.
var handed = []string{"peer-reset", "app-reset", "app-timeout"}

// blow is something bad that happens to the first of two instances.
type blow struct {
	strike func(*instance)
	heal   func(*instance)
}

var blows = map[string]blow{
	"proxy killed": {
		strike: func(i *instance) { i.proxy.Kill() },
		heal:   func(i *instance) { i.proxy.Restart() },
	},
	"application killed": {
		strike: func(i *instance) { i.app.Kill() },
	},
	"proxy stopped": {
		strike: func(i *instance) { i.proxy.Signal(syscall.SIGSTOP) },
		heal:   func(i *instance) { i.proxy.Signal(syscall.SIGCONT) },
	},
}

// TestInstanceDies strikes one of two instances under load. Only what was
// under way there may fail, at most one request of each worker; nothing is
// done twice; the other instance serves everything; and the first one gets
// requests again when it is back.
func TestInstanceDies(t *testing.T) {
	for name, b := range blows {
		t.Run(name, func(t *testing.T) {
			s := openShop(t, harness.MeshConfig{}, "a", "b")
			survive(t, s, b)
		})
	}
	t.Run("link down", func(t *testing.T) {
		s, network := openShopOnHosts(t, "a", "b")
		survive(t, s, blow{
			strike: func(*instance) { network.Host("a").LinkDown() },
			heal:   func(*instance) { network.Host("a").LinkUp() },
		})
	})
}

func survive(t *testing.T, s *shop, b blow) {
	t.Helper()
	load := s.load(t)
	b.strike(s.instances[0])
	load.AwaitWorkers()
	load.Await(1000)
	if b.heal != nil {
		b.heal(s.instances[0])
		load.AwaitFrom("a")
	}
	load.Await(200)
	all := load.Stop()
	var failed []harness.Outcome
	for _, o := range all {
		if o.OK() {
			continue
		}
		failed = append(failed, o)
		if !slices.Contains(handed, o.Reason) {
			t.Errorf("failed though nobody had it: %v", o)
		}
	}
	t.Logf("%d requests, %d failed: %v", len(all), len(failed), failed)
	if len(failed) > workers {
		t.Errorf("%d failed, but only %d can have been under way", len(failed), workers)
	}
	once(t, s, all)
}

// once checks that no application was handed a request that another one, or
// the same, had been handed already, and that none answered what it never saw.
func once(t *testing.T, s *shop, all []harness.Outcome) {
	t.Helper()
	times := make(map[string]int)
	for _, i := range s.instances {
		for id, n := range i.app.Seen(t) {
			times[id] += n
		}
	}
	for _, o := range all {
		if n := times[o.ID]; n > 1 || n == 0 && o.OK() {
			t.Errorf("handed over %d times: %v", n, o)
		}
	}
}

// TestApplicationPauses stops an application for a while. What it has been
// handed waits for it, everything else goes to the other one.
func TestApplicationPauses(t *testing.T) {
	s := openShop(t, harness.MeshConfig{}, "a", "b")
	load := s.load(t)
	s.instances[0].app.Signal(syscall.SIGSTOP)
	load.Await(1000)
	s.instances[0].app.Signal(syscall.SIGCONT)
	load.AwaitFrom("a")
	load.MustAllBeGood()
	once(t, s, load.Stop())
}

// TestRollingRestart ends and starts each proxy in turn, gently.
func TestRollingRestart(t *testing.T) {
	s := openShop(t, harness.MeshConfig{}, "a", "b")
	load := s.load(t)
	for _, i := range s.instances {
		if err := harness.Drain(i.proxy.Process); err != nil {
			t.Errorf("%s: %v: %s", i.name, err, i.proxy.Output())
		}
		load.Await(300)
		i.proxy.Restart()
		load.AwaitFrom(i.name)
	}
	load.MustAllBeGood()
	once(t, s, load.Stop())
}

// TestDrainFinishesWhatIsUnderWay ends both proxies on the way of a request
// that takes longer than the end of everything else.
func TestDrainFinishesWhatIsUnderWay(t *testing.T) {
	s := openShop(t, harness.MeshConfig{}, "a")
	const number = "slow"
	slow := make(chan error, 1)
	client := s.client.At.HTTP(t)
	go func() {
		req, err := http.NewRequest(http.MethodPost, s.url+"?delay=2s", strings.NewReader(number))
		if err != nil {
			slow <- err
			return
		}
		req.Header.Set(harness.IDHeader, number)
		resp, err := client.Do(req)
		if err == nil {
			defer resp.Body.Close()
			var body []byte
			if body, err = io.ReadAll(resp.Body); err == nil && string(body) != "a "+number {
				err = fmt.Errorf("%s: %s", resp.Status, body)
			}
		}
		slow <- err
	}()
	harness.Wait(t, "the request at the application", func() string {
		if s.instances[0].app.Seen(t)[number] == 0 {
			return "not there"
		}
		return ""
	})
	for _, p := range []*harness.Proxy{s.instances[0].proxy, s.client} {
		p.Signal(syscall.SIGTERM)
	}
	if err := <-slow; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	for _, p := range []*harness.Proxy{s.instances[0].proxy, s.client} {
		if err := p.Wait(); err != nil {
			t.Errorf("%s: %v: %s", p.Name, err, p.Output())
		}
	}
}
