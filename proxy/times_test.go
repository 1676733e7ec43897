package proxy

import (
	"net"
	"testing"
	"time"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/telemetry"
)

// TestTimesReach has what is set reach whoever obeys it, on both sides.
func TestTimesReach(t *testing.T) {
	c := &core{times: Times{
		Head: 1, Linger: 2, Untaken: 3, AppIdle: 4, AppSpare: 5, AppQueue: 6, AppSettle: 7,
	}, buffers: &flow.Buffers{}}
	p := &Proxy{core: c, cfg: Config{AppConns: 8, AppQueue: 9, AppIdle: 10, AppIdleLong: 11}}
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	conn := c.client(near)
	if conn.HeadTime != 1 || conn.LingerTime != 2 {
		t.Errorf("a client has %v for a head and %v at its end", conn.HeadTime, conn.LingerTime)
	}
	var call outboundCall
	call.begin(&outbound{core: c}, nil)
	i := &inbound{core: c}
	for who, got := range map[string]time.Duration{
		"a client's":    call.relay.Untaken,
		"a stranger's":  newInboundHTTP(i, conn).relay.Untaken,
		"one on a link": i.workers.get(i).relay.Untaken,
	} {
		if got != 3 {
			t.Errorf("of the request of %s a body may be untaken for %v", who, got)
		}
	}
	h := p.pools(telemetry.Outbound)
	for i, got := range []int{int(h.IdleTime), int(h.SpareTime), int(h.QueueTime), int(h.SettleTime), h.MaxShared, h.MaxQueued, h.MaxIdle, h.LongIdle} {
		if got != i+4 {
			t.Errorf("pools have %+v", h)
			break
		}
	}
}
