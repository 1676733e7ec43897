package proxy

import (
	"io"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/send"
)

// TestAppConnectionsEnd has connections to the application wait for requests, at
// a port that the snapshot names and at one that it does not: the application
// sees them end when they have waited for long.
func TestAppConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &Proxy{core: &core{own: newOwn()}, inbound: &inbound{}}
		pool := func(mesh.Port) *send.HTTP { return send.NewHTTP(send.HTTPConfig{App: true, Buffers: &flow.Buffers{}}) }
		p.inbound.strangers.pool = pool
		if err := p.core.own.apply(&mesh.Inbound{Ports: []mesh.Port{{Number: 8080}}}, pool); err != nil {
			t.Fatal(err)
		}
		var ended [2]time.Duration
		began := time.Now()
		for i, port := range []*ownPort{
			p.core.own.current.Load().port(8080),
			p.inbound.strangers.get(netip.MustParseAddrPort("127.0.0.1:9090"), nil),
		} {
			ours, theirs := net.Pipe()
			port.app.Adopt(flow.NewConn(ours, &flow.Buffers{}))
			go func() {
				_, _ = io.Copy(io.Discard, theirs)
				ended[i] = time.Since(began)
			}()
		}
		for range 2 * int(send.IdleTimeout/time.Second) {
			time.Sleep(time.Second)
			p.trim(time.Now())
		}
		synctest.Wait()
		for _, at := range ended {
			if at != send.IdleTimeout+time.Second {
				t.Errorf("they ended after %v, want %s", ended, send.IdleTimeout+time.Second)
			}
		}
	})
}
