package fault

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/leno-mesh/leno/test/harness"
)

const (
	echoPort = 7000
	// shortLife leaves some four seconds to renew in, on a machine that is busy.
	shortLife   = 15 * time.Second
	renewedOnce = 6 // certificates of each proxy: several lives
	manyLives   = 10 * time.Minute
)

// TestRenewalUnderLoad lets certificates live for seconds: many renewals, with
// new keys, cost no request, and an opaque connection outlives them all.
func TestRenewalUnderLoad(t *testing.T) {
	s := &shop{mesh: harness.NewMesh(t, harness.MeshConfig{Life: shortLife})}
	app, from := harness.Loopback(t), harness.Loopback(t)
	echo(t, app)
	i := &instance{name: "a", app: harness.StartApp(t, app, port, "a")}
	i.proxy = s.mesh.Start(harness.Sidecar{At: app, Name: "a", Account: "app", Services: []string{"app:8080", "echo:7000"}})
	s.instances = []*instance{i}
	s.client = s.mesh.Start(harness.Sidecar{At: from, Name: "client", Upstreams: []string{
		"app:8080=" + from.At(port).String(), "echo:7000=" + from.At(echoPort).String(),
	}})
	s.url = "http://" + from.At(port).String() + "/"

	conn := dialEcho(t, from)
	load := s.load(t)
	for n, began := 1, time.Now(); ; n++ {
		conn.say(t, fmt.Sprintf("line %d", n))
		load.Await(20)
		if refreshed(s.client) >= renewedOnce && refreshed(i.proxy) >= renewedOnce {
			break
		}
		if time.Since(began) > manyLives {
			t.Fatalf("certificates of the client and the service: %v and %v", refreshed(s.client), refreshed(i.proxy))
		}
	}
	conn.say(t, "the last line")
	load.MustAllBeGood()
	for _, p := range []*harness.Proxy{s.client, i.proxy} {
		if f := p.Metrics().By("leno_failures_total", "reason"); len(f) > 0 {
			t.Errorf("failures at the proxy of %s: %v", p.Name, f)
		}
	}
}

func refreshed(p *harness.Proxy) float64 { return p.Metrics().Sum("identity_cert_refresh_count") }

// echo gives back what it reads, on this machine, until the test ends.
func echo(t *testing.T, at harness.Place) {
	t.Helper()
	l, err := net.Listen("tcp", at.At(echoPort).String())
	if err != nil {
		t.Fatal(err)
	}
	var open sync.WaitGroup
	open.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			open.Go(func() { defer c.Close(); io.Copy(c, c) })
		}
	})
	// The connections end with the proxies, which are ended before this.
	t.Cleanup(func() { l.Close(); open.Wait() })
}

// line is a connection on which lines come back.
type line struct {
	net.Conn
	in *bufio.Reader
}

func dialEcho(t *testing.T, from harness.Place) *line {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Ceiling)
	defer cancel()
	c, err := from.Dial(ctx, "tcp", from.At(echoPort).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return &line{Conn: c, in: bufio.NewReader(c)}
}

func (l *line) say(t *testing.T, text string) {
	t.Helper()
	if err := l.try(text); err != nil {
		t.Fatal(err)
	}
}

func (l *line) try(text string) error {
	l.SetDeadline(time.Now().Add(harness.Ceiling))
	if _, err := io.WriteString(l, text+"\n"); err != nil {
		return err
	}
	got, err := l.in.ReadString('\n')
	if err == nil && got != text+"\n" {
		err = fmt.Errorf("said %q, got %q", text, got)
	}
	return err
}
