package proxy

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/proxy/send"
	"github.com/leno-mesh/leno/telemetry"
)

// from is a connection that comes from an address.
type from struct {
	net.Conn
	addr string
}

func (c from) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.addr)) }

// TestShareOfOneAddress has clients without a certificate open streams to the
// workload and send no body: those of one address have half of what all may have
// together, on however many connections, and leave the rest to others.
func TestShareOfOneAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const streams = 8
		budget := mux.NewBudget(1 << 30)
		p := &Proxy{
			cfg: Config{ClientStreams: streams, Identity: identity.NewSource(), Link: mux.Config{Budget: budget}},
			core: &core{
				log: slog.New(slog.DiscardHandler), buffers: &flow.Buffers{}, metrics: telemetry.NewRegistry(telemetry.Config{}),
				own: newOwn(), started: time.Now(), grace: -1, times: Times{}.WithDefaults(),
			},
		}
		p.core.inClients, _ = forClients(forApplications(p.cfg.Link), streams)
		p.buildInbound()
		ctx, end := context.WithCancel(t.Context())
		p.inbound.strangers.pool = func(mesh.Port) *send.HTTP {
			return send.NewHTTP(send.HTTPConfig{App: true, Buffers: p.core.buffers, Go: func(run func(context.Context)) bool {
				go run(ctx)
				return true
			}, Dial: func(ctx context.Context) (net.Conn, error) { // the application is slow to take connections
				<-ctx.Done()
				return nil, ctx.Err()
			}})
		}
		var work sync.WaitGroup
		var ends []net.Conn
		for i, tt := range []struct {
			addr   string
			served int // in all
		}{
			{"192.0.2.1:1000", 4}, // one connection has no more than an address
			{"192.0.2.1:1001", 4},
			{"192.0.2.2:1000", 6}, // three quarters are for one side
			{"192.0.2.3:1000", 6},
		} {
			near, far := net.Pipe()
			ends = append(ends, far)
			work.Go(func() {
				c := flow.NewConn(from{near, tt.addr}, p.core.buffers)
				defer c.Free()
				defer c.Close()
				p.inbound.plain(ctx, c, netip.MustParseAddrPort("192.0.2.9:80"))
			})
			work.Go(func() { _, _ = io.Copy(io.Discard, far) })
			out := http2.AppendSettings([]byte(http2.Preface))
			for n := range uint32(streams) {
				out = http2.AppendHeaders(out, 2*n+1, post(), false, http2.MinMaxFrame)
			}
			if _, err := far.Write(out); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if n := budget.Served(); n != tt.served {
				t.Errorf("with connection %d, from %s, %d streams are served, want %d", i, tt.addr, n, tt.served)
			}
		}
		end()
		for _, c := range ends {
			_ = c.Close()
		}
		work.Wait()
		if len(p.inbound.strange.m) != 0 {
			t.Error("addresses are kept that have no connections")
		}
	})
}

// post is the header block of a request with a body.
func post() (block []byte) {
	enc := http2.NewEncoder(0)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "http"}, {":authority", "app.shop"}, {":path", "/"}} {
		block = enc.Append(block, f[0], f[1], false)
	}
	return block
}
