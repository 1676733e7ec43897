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
	"github.com/leno-mesh/leno/proxy/mux"
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

// RoomTime is how long a request asks again at peers that take no more streams, and
// roomWait how long it waits before the second try; each wait is twice the one before,
// up to roomWaitMost.
const (
	RoomTime     = time.Second
	roomWait     = 5 * time.Millisecond
	roomWaitMost = 40 * time.Millisecond
)

// room is what one request knows of the peers that took no more streams.
type room struct {
	since time.Time     // of the first such try
	wait  time.Duration // before the last one
	made  bool          // another one ended for it
	full  []*flow.Place // in this round
}

// note keeps which endpoint it was. An application that has enough to do is another
// matter: its proxy had a place.
func (r *room) note(e *flow.Error, ep *balance.Endpoint[*instance]) {
	if full(e) {
		r.full = append(r.full, ep.Peer.Place())
	}
}

// full says whether a link or its peer takes no more streams.
func full(e *flow.Error) bool {
	var refused *mux.StreamError
	return e != nil && e.Reason == flow.Overloaded && (errors.Is(e, mux.ErrFull) || errors.As(e, &refused))
}

// makeRoom ends the client that keeps a request waiting the longest at the peers that
// take no more streams: this proxy's own may be why. One goes for one that comes, so that
// many requests of one client cannot end all others. It says whether the request is to be
// sent again, after a moment for the peer to notice.
func (o *outbound) makeRoom(ctx context.Context, r *room) bool {
	if len(r.full) == 0 {
		return false
	}
	if r.since.IsZero() {
		r.since = time.Now()
	}
	if time.Since(r.since) >= o.times.Room {
		return false
	}
	if !r.made && o.outSeats.Yield(r.full...) {
		r.made = true
		o.shed(telemetry.Outbound, "a request that kept a full peer waiting was ended")
	}
	r.wait = min(max(2*r.wait, roomWait), roomWaitMost)
	r.full = r.full[:0]
	timer := time.NewTimer(r.wait)
	defer timer.Stop()
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
