package proxy

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/proxy/balance"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/mux"
	"github.com/leno-mesh/leno/proxy/send"
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

// TestTries has a request be sent as often as was set, and no more.
func TestTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := &outbound{core: &core{
			started: time.Now(),
			tries:   Tries{Endpoints: 2, SentAway: 3}.WithDefaults(), times: Times{Room: time.Minute}.WithDefaults(),
		}}
		refused := &mux.StreamError{Code: http2.ErrCodeRefusedStream, Remote: true}
		full, away := flow.NotHanded(flow.Overloaded, refused), flow.NotHanded(flow.Draining, mux.ErrDraining)
		ep := &balance.Endpoint[*instance]{Peer: &instance{Peer: &send.Peer{}}}
		for e, want := range map[*flow.Error]time.Duration{
			full: time.Minute, flow.NotHanded(flow.Overloaded, mux.ErrFull): time.Minute,
			away: 0, flow.NotHanded(flow.Overloaded, nil): 0, // of an application that has enough to do
		} {
			var r room
			for r.note(e, ep); o.makeRoom(t.Context(), &r); {
				r.note(e, ep)
			}
			if got := o.clock(); got < want || got > want+roomWaitMost {
				t.Errorf("after %v it was tried again for %s", e, got)
			}
			o.started = time.Now()
		}
		if n := o.mostTries(full); n != 2 {
			t.Errorf("%d endpoints", n)
		}
		if n := o.mostTries(away); n != 3 {
			t.Errorf("%d times to an endpoint that sends requests away", n)
		}
		tries := 0
		for o.onceMore(flow.Outcome{Err: away, Again: true}, tries) {
			tries++
		}
		if tries != 2 {
			t.Errorf("%d times more to an application that sends requests away", tries)
		}
	})
}
