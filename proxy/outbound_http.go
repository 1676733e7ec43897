package proxy

import (
	"errors"
	"io"

	"github.com/leno-mesh/leno/proxy/accept"
	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/telemetry"
)

// outboundHTTP is one client's HTTP/1 connection.
type outboundHTTP struct {
	outboundCall
	conn  *flow.Conn
	http1 *accept.HTTP1
}

func newOutboundHTTP(o *outbound, c *flow.Conn, fixed *destination) *outboundHTTP {
	x := &outboundHTTP{conn: c, http1: accept.NewHTTP1(c, o.limits, o.draining.Load)}
	x.begin(o, x.http1)
	x.fixed, x.seat = fixed, c.Seat
	return x
}

// end closes the connection after its last answer, or cuts it where that
// could not be given whole.
func (x *outboundHTTP) end(out flow.Outcome) {
	if out.Err != nil && !out.Told {
		x.caller.Abort(out.Err.Reason, out.Err.Code)
		return
	}
	x.conn.Linger()
}

// unreadable ends a connection whose next request could not be read. An end
// between two requests is no failure.
func (x *outboundHTTP) unreadable(err error) {
	var e *flow.Error
	if !errors.As(err, &e) {
		if !errors.Is(err, io.EOF) {
			x.conn.Abort()
		}
		return
	}
	refuse(x.core, telemetry.Outbound, x.conn, x.http1, &x.failure, e)
}

// refuse answers a request whose head could not be read, and ends its
// connection.
func refuse(c *core, d telemetry.Direction, conn *flow.Conn, h *accept.HTTP1, f *flow.Failure, e *flow.Error) {
	c.metrics.Failed(d, e.Reason.String())
	c.log.Info("request refused", "direction", d.String(), "reason", e.Reason.String(), "error", e.Err)
	if e.Reason == flow.ClientGone {
		return
	}
	h.SpoilHead()
	if f.Answer(h, e, &flow.Request{}) == nil {
		conn.Linger()
	}
}

// tooSlow answers a client whose first request line did not come, and says
// whether that is what err is about.
func (c *core) tooSlow(d telemetry.Direction, conn *flow.Conn, err error) bool {
	var e *flow.Error
	if !errors.As(err, &e) || e.Reason != flow.SlowRequest {
		return false
	}
	refuse(c, d, conn, accept.NewHTTP1(conn, c.limits, c.draining.Load), &flow.Failure{}, e)
	return true
}
