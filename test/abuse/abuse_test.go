package abuse

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"

	"github.com/leno-mesh/leno/proxy/link"
	"github.com/leno-mesh/leno/test/harness"
	"github.com/leno-mesh/leno/test/netns"
)

func TestMain(m *testing.M) { harness.Main(m) }

const (
	memory = 48 << 20
	port   = 8080
)

// TestHonestAreServed has hostile clients of every kind on both of two proxies
// that have 48 MiB each, and no request of the honest ones fail.
func TestHonestAreServed(t *testing.T) {
	netns.RequireRoot(t) // to make control groups
	long := 90 * time.Second
	if harness.Soak() {
		long = 10 * time.Minute
	}
	m := harness.NewMesh(t, harness.MeshConfig{})
	at := harness.Loopback(t)
	harness.StartApp(t, at, port, "app")
	fences := map[string]*harness.Fence{}
	fenced := func(s harness.Sidecar) *harness.Proxy {
		s.Fence = harness.NewFence(t, memory)
		fences[s.Name] = s.Fence
		if !s.Fence.Real {
			s.Args = append(s.Args, "--memory-limit", fmt.Sprint(memory))
		}
		return m.Start(s)
	}
	server := fenced(harness.Sidecar{At: at, Name: "app", Services: []string{"app:8080"}})
	front := harness.Loopback(t)
	upstream := front.At(port)
	client := fenced(harness.Sidecar{At: front, Name: "client", Upstreams: []string{"app:8080=" + upstream.String()}})
	mallory := m.Start(harness.Sidecar{At: harness.Loopback(t), Name: "mallory"})
	m.WaitConnected("app", "client", "mallory")

	honest := harness.StartLoad(t, front, "http://"+upstream.String()+"/", 4)
	strangers := startConnecting(t, upstream)
	honest.Await(20)
	ctx, callBack := context.WithCancel(t.Context())
	a := newArmy(ctx)
	againstClients(a, client.Outbound(), upstream)
	for name, to := range map[string]netip.AddrPort{"app": at.At(4191), "client": front.At(4191)} {
		a.send("silent, admin of "+name, 100, plain(to), hold(nil))
		a.send("half a request, admin of "+name, 100, plain(to), hold([]byte("GET /metrics HTTP/1.1\r\n")))
	}
	againstLinks(a, at.At(4143), mallory, m.Proxies()["app"].Workload)
	harness.Pass(long)
	callBack()
	a.wg.Wait()

	honest.Await(100) // it goes on as if nothing had been
	strangers.mustAllBeGood()
	honest.MustAllBeGood()
	t.Logf("attacks: %v", a.runs)
	if len(a.runs) < 18 {
		t.Errorf("only %d kinds of attack got through to a connection", len(a.runs))
	}
	for _, p := range []*harness.Proxy{server, client} {
		f := fences[p.Name]
		t.Logf("%s: shed %v, failures %v", p.Name, p.Metrics().Sum("leno_shed_total"), p.Metrics().By("leno_failures_total", "reason"))
		if !f.Real {
			continue
		}
		t.Logf("%s: peak %d KiB of %d", p.Name, f.Peak()>>10, memory>>10)
		if kills := f.Kills(t); kills != 0 || f.Peak() > memory {
			t.Errorf("%s: %d killed by the kernel, peak %d bytes", p.Name, kills, f.Peak())
		}
	}
}

// againstClients sends everybody who needs no certificate to a proxy's clients'
// side.
func againstClients(a *army, forward, upstream netip.AddrPort) {
	const post = "POST / HTTP/1.1\r\nHost: app.shop\r\nContent-Length: "
	large := post + "2097152\r\n\r\n" + strings.Repeat("z", 2<<20)
	fields := strings.Repeat("x: "+strings.Repeat("y", 1000)+"\r\n", 60)
	for name, to := range map[string]netip.AddrPort{"forward": forward, "upstream": upstream} {
		dial := plain(to)
		a.send("slow head, "+name, 40, dial, drip("GET / HTTP/1.1\r\nHost: app.shop\r\nA: "))
		a.send("slow body, "+name, 15, dial, drip(post+"1000000\r\n\r\n"))
		a.send("half a huge head, "+name, 20, dial, hold([]byte("GET / HTTP/1.1\r\nHost: app.shop\r\n"+fields)))
		a.send("too huge a head, "+name, 2, dial, hold([]byte("GET / HTTP/1.1\r\nHost: app.shop\r\n"+fields+fields)))
		a.send("idle, "+name, 60, dial, hold(nil))
		a.send("deaf, "+name, 3, dial, deaf([]byte(large)))
		a.send("churn, "+name, 2, dial, hitAndRun(nil))
		a.send("half a request, "+name, 2, dial, hitAndRun([]byte("GET / HT")))
		a.send("garbage, "+name, 2, dial, garbage)
	}
	a.send("many names", 2, plain(forward), func(c net.Conn) error {
		_, err := fmt.Fprintf(c, "GET / HTTP/1.1\r\nHost: n%d.shop\r\n\r\n", time.Now().UnixNano())
		if err == nil {
			_, err = io.Copy(io.Discard, c)
		}
		return err
	})
}

// againstLinks sends those with and without a certificate to a proxy's links.
func againstLinks(a *army, to netip.AddrPort, mallory *harness.Proxy, workload string) {
	hello := []byte("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
	a.send("half a handshake", 80, plain(to), hold(hello))
	a.send("silent handshake", 40, plain(to), hold(nil))
	a.send("no TLS", 2, plain(to), garbage)
	a.send("plain HTTP to links", 2, plain(to), hold([]byte("GET / HTTP/1.1\r\n\r\n")))
	file := filepath.Join(mallory.State, "identity.pem")
	secured := func(ctx context.Context) (net.Conn, error) {
		cert, err := tls.LoadX509KeyPair(file, file)
		if err != nil {
			return nil, err
		}
		d := tls.Dialer{Config: &tls.Config{
			InsecureSkipVerify: true, MinVersion: tls.VersionTLS13,
			NextProtos: []string{link.ALPN}, Certificates: []tls.Certificate{cert},
		}}
		return d.DialContext(ctx, "tcp", to.String())
	}
	where := "v=1;m=http;s=app.shop;p=8080;w=" + workload
	shut := []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}}
	for name, do := range map[string]attack{
		"rapid reset":         linked(where, false, nil, rapidReset),
		"continuations":       linked(where, false, nil, continuations),
		"huge head on a link": linked(where, false, nil, hugeHead),
		"settings":            linked(where, false, nil, settingsFlood),
		"settings, deaf":      linked(where, true, nil, settingsFlood),
		"pings":               linked(where, false, nil, pingFlood),
		"pings, deaf":         linked(where, true, nil, pingFlood),
		"empty data":          linked(where, false, nil, emptyData),
		"shut window":         linked(where, false, shut, shutWindow),
		"tiny window":         linked(where, false, shut, tinyWindow),
		"slow streams":        linked(where, false, nil, slowStreams),
		"garbage on a link":   garbage,
	} {
		a.send(name, 1, secured, do)
	}
	a.send("idle link", 20, secured, hold(nil))
}

// connecting is an honest client that opens a connection for every request.
type connecting struct {
	t          *testing.T
	stop       context.CancelFunc
	done       chan struct{}
	good       atomic.Int64
	bad        atomic.Int64
	firstError atomic.Pointer[string]
}

func startConnecting(t *testing.T, to netip.AddrPort) *connecting {
	ctx, cancel := context.WithCancel(context.Background())
	c := &connecting{t: t, stop: cancel, done: make(chan struct{})}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 2 * harness.Ceiling}
	body := bytes.Repeat([]byte("b"), 20<<10)
	go func() {
		defer close(c.done)
		for wait(ctx, 5*pace) {
			if err := once(client, "http://"+to.String()+"/", body); err != nil {
				c.bad.Add(1)
				s := err.Error()
				c.firstError.CompareAndSwap(nil, &s)
				continue
			}
			c.good.Add(1)
		}
	}()
	t.Cleanup(func() { cancel(); <-c.done })
	return c
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
	c.t.Logf("honest connections: %d", c.good.Load())
	if n := c.bad.Load(); n > 0 || c.good.Load() == 0 {
		c.t.Errorf("%d of %d honest connections failed; the first: %v", n, n+c.good.Load(), *c.firstError.Load())
	}
}
