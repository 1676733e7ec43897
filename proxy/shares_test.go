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
				own: newOwn(), started: time.Now(), grace: -1, times: Times{}.WithDefaults(), tries: Tries{}.WithDefaults(),
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

// TestClientsParts has clients of both sides take what they can get, one side after
// the other: half of all together, and neither side more than three quarters of that.
func TestClientsParts(t *testing.T) {
	const all, body, most = 1 << 20, 30 << 10, 40 << 10 // most is what buffers of one body take
	for name, tt := range map[string]struct {
		streams  int
		body     int
		in, both [2]int // from, to
		used     func(*mux.Budget) int
	}{
		"streams": {16, 0, [2]int{12, 12}, [2]int{16, 16}, (*mux.Budget).Served},
		"bytes": {
			0, body,
			[2]int{all * 3 / 8, all*3/8 + most},
			[2]int{all / 2, all/2 + most},
			func(b *mux.Budget) int { return int(b.Used()) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				budget := mux.NewBudget(all)
				in, out := forClients(forApplications(mux.Config{Budget: budget}), tt.streams)
				ctx, end := context.WithCancel(t.Context())
				var work sync.WaitGroup
				var ends []net.Conn
				open := func(cfg mux.Config, want [2]int) {
					for range 4 {
						near, far := net.Pipe()
						ends = append(ends, far)
						work.Go(func() { _ = mux.NewServer(near, cfg, func(*mux.Stream) { <-ctx.Done() }).Run(ctx) })
						work.Go(func() { _, _ = io.Copy(io.Discard, far) })
						b := http2.AppendSettings([]byte(http2.Preface))
						for id := uint32(1); id < 16; id += 2 {
							b = http2.AppendHeaders(b, id, post(), false, http2.MinMaxFrame)
							for n := 0; n < tt.body; n += body / 2 {
								b = http2.AppendData(b, id, make([]byte, body/2), false)
							}
						}
						if _, err := far.Write(b); err != nil {
							t.Fatal(err)
						}
						synctest.Wait()
					}
					if n := tt.used(budget); n < want[0] || n > want[1] {
						t.Errorf("%d are taken, want %d to %d", n, want[0], want[1])
					}
				}
				open(in, tt.in)
				open(out, tt.both)
				end()
				for _, c := range ends {
					_ = c.Close()
				}
				work.Wait()
			})
		})
	}
}
