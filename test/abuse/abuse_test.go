package abuse

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/leno-mesh/leno/test/harness"
	"github.com/leno-mesh/leno/test/netns"
)

func TestMain(m *testing.M) {
	enlist()
	harness.Main(m)
}

const (
	memory = 48 << 20
	port   = 8080
)

// TestHonestAreServed has hostile clients of every kind on both of two proxies
// that have 48 MiB each, and no request of the honest ones fail.
func TestHonestAreServed(t *testing.T) {
	netns.RequireRoot(t) // to make control groups
	m := harness.NewMesh(t, harness.MeshConfig{})
	at := harness.Loopback(t)
	harness.StartApp(t, at, port, "app")
	server := fenced(t, m, harness.Sidecar{At: at, Name: "app", Services: []string{"app:8080"}})
	den := harness.Loopback(t)
	evil := fenced(t, m, harness.Sidecar{At: den, Name: "evil", Services: []string{"evil:8080"}})
	front := harness.Loopback(t)
	upstream, toEvil := front.At(port), front.At(port+1)
	client := fenced(t, m, harness.Sidecar{At: front, Name: "client", Upstreams: []string{
		"app:8080=" + upstream.String(), "evil:8080=" + toEvil.String(),
	}})
	var band [3]string
	for i, name := range []string{"mallory", "mallory-2", "mallory-3"} {
		p := m.Start(harness.Sidecar{At: harness.Loopback(t), Name: name})
		band[i] = filepath.Join(p.State, "identity.pem")
	}
	m.WaitConnected("app", "client", "evil")

	honest := harness.StartLoad(t, front, "http://"+upstream.String()+"/", 4)
	connecting := startConnecting(t, front, upstream)
	honest.Await(20)
	fight(t, den, orders{
		Lair: den.At(port), Forward: client.Outbound(), Upstream: upstream, ToLair: toEvil,
		Admins: map[string]netip.AddrPort{"app": at.At(4191), "client": front.At(4191)},
		Links:  &links{At: at.At(4143), Workload: m.Proxies()["app"].Workload, Band: band},
	}, 90*time.Second, 10*time.Minute)

	honest.Await(100) // it goes on as if nothing had been
	connecting.mustAllBeGood()
	honest.MustAllBeGood()
	mustHaveLived(t, server, client, evil)
}

// TestHonestAreServedUncertified has hostile clients that are not in the mesh reach a
// workload's captured port, past every other proxy. Those of the mesh are served, and so
// are honest ones that are not in it either, at another address.
func TestHonestAreServedUncertified(t *testing.T) {
	netns.RequireRoot(t)
	network := netns.New(t, "control", "server", "client", "visitor", "robber")
	place := func(name string) harness.Place { return harness.On(network.Host(name)) }
	m := harness.NewMesh(t, harness.MeshConfig{At: place("control")})
	server := fenced(t, m, harness.Sidecar{
		At: place("server"), Name: "app", Services: []string{"app:8080"}, Args: []string{"--limit", "head-seconds=10"},
	})
	harness.StartApp(t, server.At, port, "app")
	client := m.Start(harness.Sidecar{At: place("client"), Name: "client"})
	m.WaitConnected("app", "client")

	to := server.At.At(port)
	honest := map[string]*harness.Load{}
	for _, from := range []harness.Place{client.At, place("visitor")} {
		honest[from.Host.Name] = harness.StartLoad(t, from, "http://"+to.String()+"/", 4)
	}
	connecting := startConnecting(t, place("visitor"), to)
	for _, load := range honest {
		load.Await(20)
	}
	fight(t, place("robber"), orders{Inbound: to}, 20*time.Second, 10*time.Minute)

	for _, load := range honest {
		load.Await(100)
	}
	connecting.mustAllBeGood()
	for _, load := range honest {
		load.MustAllBeGood()
	}
	mustHaveLived(t, server)
}

// fenced starts a proxy that has little memory.
func fenced(t *testing.T, m *harness.Mesh, s harness.Sidecar) *harness.Proxy {
	t.Helper()
	s.Fence = harness.NewFence(t, memory)
	if !s.Fence.Real {
		if os.Getenv("LENO_TEST_REQUIRE_ROOT") == "1" {
			t.Fatal("no control group can be made, and LENO_TEST_REQUIRE_ROOT=1 forbids to judge without")
		}
		s.Args = append(s.Args, "--memory-limit", fmt.Sprint(memory))
	}
	return m.Start(s)
}

// mustHaveLived tells what became of proxies, none of which may have been killed.
func mustHaveLived(t *testing.T, all ...*harness.Proxy) {
	t.Helper()
	for _, p := range all {
		t.Logf("%s: shed %v, failures %v", p.Name, p.Metrics().Sum("leno_shed_total"), p.Metrics().By("leno_failures_total", "reason"))
		if !p.Fence.Real {
			continue
		}
		t.Logf("%s: peak %d KiB of %d", p.Name, p.Fence.Peak()>>10, memory>>10)
		if kills := p.Fence.Kills(t); kills != 0 {
			t.Errorf("%s: %d killed by the kernel", p.Name, kills)
		}
	}
}

// connecting is an honest client that opens a connection for every request.
type connecting struct {
	t    *testing.T
	stop context.CancelFunc
	done chan struct{}
	// All of it is for who waited for done.
	good   int
	unsaid int // connections that gave way before anything was said on them
	bad    []error
}

func startConnecting(t *testing.T, from harness.Place, to netip.AddrPort) *connecting {
	ctx, cancel := context.WithCancel(context.Background())
	c := &connecting{t: t, stop: cancel, done: make(chan struct{})}
	var said atomic.Bool // on the connection that was opened last
	dial := func(ctx context.Context, network, to string) (net.Conn, error) {
		said.Store(false)
		c, err := from.Dial(ctx, network, to)
		if err != nil {
			said.Store(true) // one that never stood did not give way
			return nil, err
		}
		return telling{c, &said}, nil
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: dial}, Timeout: 2 * harness.Ceiling}
	body := bytes.Repeat([]byte("b"), 20<<10)
	go func() {
		defer close(c.done)
		for wait(ctx, 5*pace) {
			err := once(client, "http://"+to.String()+"/", body)
			switch {
			case err == nil:
				c.good++
			case !said.Load():
				c.unsaid++ // it goes on as clients do: nothing was asked yet
			default:
				c.bad = append(c.bad, fmt.Errorf("at %s: %w", time.Now().Format(time.TimeOnly), err))
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-c.done })
	return c
}

// telling notes that something was said on a connection.
type telling struct {
	net.Conn
	said *atomic.Bool
}

func (t telling) Write(p []byte) (int, error) {
	t.said.Store(true)
	n, err := t.Conn.Write(p)
	if n == 0 {
		t.said.Store(false) // it had gone before
	}
	return n, err
}

func once(client *http.Client, url string, body []byte) error {
	resp, err := client.Post(url, "text/plain", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || !bytes.HasSuffix(got, body) {
		return fmt.Errorf("status %s, reason %q, %d bytes", resp.Status, resp.Header.Get("leno-reason"), len(got))
	}
	return nil
}

func (c *connecting) mustAllBeGood() {
	c.t.Helper()
	c.stop()
	<-c.done
	// A busy machine may take half a second from the connection to the first byte: by
	// then it is the silent one that gives way.
	c.t.Logf("honest connections: %d, and %d that gave way before they said anything", c.good, c.unsaid)
	if c.good == 0 || c.unsaid > c.good/100 {
		c.t.Errorf("%d honest connections were served, and %d gave way while they were silent", c.good, c.unsaid)
	}
	if n := len(c.bad); n > 0 {
		c.t.Errorf("%d of %d honest connections failed; the first: %v", n, n+c.good, c.bad[:min(n, 5)])
	}
}
