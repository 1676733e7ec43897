package proxy

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/balance"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/telemetry"
)

const (
	// MaxTold bounds the refused connections that are being told why at once;
	// others are cut.
	MaxTold = 64
	// TellTime bounds how long telling one takes.
	TellTime = 2 * time.Second
	// shedLogEvery is how often shedding is logged; the metrics count each.
	shedLogEvery = 10 * time.Second
)

var errNoSeat = errors.New("as many connections are open as there may be")

// seated gives a new connection a seat and serves it.
func (c *core) seated(ctx context.Context, raw net.Conn, seats *flow.Seats, serve func(context.Context, *flow.Conn)) {
	side := telemetry.Outbound
	if seats == &c.inSeats {
		side = telemetry.Inbound
	}
	conn := c.client(raw)
	defer conn.Free()
	defer conn.Close()
	seat, evicted := seats.Take(raw)
	if evicted {
		c.shed(side, "a connection gave way to a new one")
	}
	if seat == nil {
		c.shed(side, errNoSeat.Error())
		c.tell(ctx, side, conn, flow.NotHanded(flow.Overloaded, errNoSeat))
		return
	}
	defer seat.Leave()
	conn.Seat = seat
	serve(ctx, conn)
}

// shed counts what was given up because of a limit, and logs it now and then.
func (c *core) shed(side telemetry.Direction, what string) {
	c.metrics.Counter("leno_shed_total", "Connections that were ended or refused because a limit was reached.",
		telemetry.Label{Name: "direction", Value: side.String()}).Add(1)
	now, last := int64(c.clock()), c.shedLog.Load()
	if (last == 0 || now-last > int64(shedLogEvery)) && c.shedLog.CompareAndSwap(last, now) {
		c.log.Warn("overloaded: "+what+"; the page /debug/limits shows which limit is reached",
			"direction", side.String(), "reason", flow.Overloaded.String(), "inbound", c.inSeats.Len(), "clients", c.outSeats.Len())
	}
}

// idled counts connections that were closed for having had no request for so long.
func (c *core) idled(side telemetry.Direction, n int) {
	c.metrics.Counter("leno_idle_closed_total", "Connections of clients that were closed because they had been without a request for idle-seconds.",
		telemetry.Label{Name: "direction", Value: side.String()}).Add(uint64(n))
}

// roomWait is how long a request waits for room at a peer that is full before its
// second try; each wait is twice the one before, up to roomWaitMost.
const (
	roomWait     = 5 * time.Millisecond
	roomWaitMost = 40 * time.Millisecond
)

// makeRoom ends the client that keeps a request waiting the longest at the endpoints
// that were tried, because these take no more streams: this proxy's own may be why. One
// goes for one that comes, so that many requests of one client cannot end all others. It
// says whether the request is to be sent again, after a moment for the peer to notice.
func (o *outbound) makeRoom(ctx context.Context, e *flow.Error, at []*balance.Endpoint[*instance], tries *int) bool {
	if e == nil || e.Reason != flow.Overloaded || *tries >= o.tries.Room {
		return false
	}
	places := make([]*flow.Place, len(at))
	for i, ep := range at {
		places[i] = ep.Peer.Place()
	}
	if o.outSeats.Yield(places...) {
		o.shed(telemetry.Outbound, "a request that kept a full peer waiting was ended")
	}
	timer := time.NewTimer(min(roomWait<<min(*tries, 8), roomWaitMost))
	defer timer.Stop()
	*tries++
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// tell ends a connection that is not served. A client that speaks HTTP/1 gets an
// answer with the reason to its first request, one of HTTP/2 a GOAWAY; others, and those that keep
// silent, are cut.
func (c *core) tell(ctx context.Context, side telemetry.Direction, conn *flow.Conn, e *flow.Error) {
	c.metrics.Failed(side, e.Reason.String())
	seat, _ := c.waiting.Take(conn.Conn)
	if seat == nil {
		conn.Abort()
		return
	}
	defer seat.Leave()
	conn.Seat = seat
	end := time.AfterFunc(c.times.Tell, func() { _ = conn.Conn.Close() })
	defer end.Stop()
	defer context.AfterFunc(ctx, func() { _ = conn.Conn.Close() })()
	switch p, err := accept.Client(conn, lastWords); {
	case err != nil || !isHTTP(p):
		conn.Abort()
		return
	case p == mesh.HTTP2:
		tellHTTP2(conn, e)
		return
	}
	var request flow.Request
	var failure flow.Failure
	h := accept.NewHTTP1(conn, c.limits, func() bool { return true })
	if err := h.ReadRequest(&request); err != nil {
		conn.Abort()
		return
	}
	h.Spoil()
	if failure.Answer(h, e, &request) == nil {
		conn.Linger()
	}
}

// tellHTTP2 tells a client of HTTP/2 that none of its streams was taken, and why.
func tellHTTP2(conn *flow.Conn, e *flow.Error) {
	b := http2.AppendSettings(conn.Out())
	conn.SetOut(http2.AppendGoAway(b, 0, http2.ErrCodeEnhanceYourCalm, e.Reason.String()))
	if conn.Flush() == nil {
		conn.Linger()
	}
}
