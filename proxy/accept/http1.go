package accept

import (
	"cmp"
	"errors"
	"io"
	"time"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/http2"
)

// HeadTimeout is how long a client may take from the first byte of a head to
// its last.
const HeadTimeout = 30 * time.Second

// headDue is when the head must be whole whose beginning is there.
func headDue(c *flow.Conn) time.Time { return c.Begins().Add(cmp.Or(c.HeadTime, HeadTimeout)) }

// HTTP1 reads requests from a client's connection and writes the answers. It
// is a flow.Caller, one request at a time. The zero value is not usable; see
// NewHTTP1.
type HTTP1 struct {
	conn   *flow.Conn
	limits http1.Limits
	parser http1.Request
	body   flow.HTTP1Body
	sink   flow.HTTP1Writer
	// keepAlive is what the client wants and nothing has spoiled yet.
	keepAlive bool
	minor     uint8
	expects   bool // the client waits for a 100, and got none yet
	head      bool // the request is HEAD
	draining  func() bool
}

// NewHTTP1 makes the caller for one connection. Draining, asked before every
// answer, makes the answer the connection's last.
func NewHTTP1(c *flow.Conn, limits http1.Limits, draining func() bool) *HTTP1 {
	h := &HTTP1{conn: c, limits: limits, draining: draining}
	h.body.Limits = &h.limits
	return h
}

// ReadRequest waits for the next request. The end of the connection between
// requests is io.EOF. A request that must be refused gives an *flow.Error.
func (h *HTTP1) ReadRequest(r *flow.Request) error {
	timed := false
	h.conn.Seat.Idle()
	for {
		if b := h.conn.Bytes(); len(b) > 0 {
			n, err := h.parser.Parse(b, &h.limits)
			if err != nil {
				return refused(err)
			}
			if n > 0 {
				h.begin(r, n)
				break
			}
			if !timed && !lineEnd(b) {
				timed = true
				_ = h.conn.SetReadDeadline(headDue(h.conn))
			}
		}
		if err := h.conn.Fill(); err != nil {
			return h.broken(err, timed)
		}
	}
	if timed {
		_ = h.conn.SetReadDeadline(time.Time{})
	}
	h.conn.Begun()
	return nil
}

// lineEnd says whether b is no more than the line end that some clients send
// behind a body (RFC 9112, section 2.2). Nothing may follow it for long.
func lineEnd(b []byte) bool { return string(b) == "\r\n" || string(b) == "\r" }

func (h *HTTP1) begin(r *flow.Request, n int) {
	r.FromHTTP1(&h.parser)
	h.conn.Seat.Busy()
	h.conn.Consume(n)
	h.keepAlive = h.parser.KeepAlive
	h.minor = h.parser.Minor
	h.expects = h.parser.ExpectContinue && h.parser.Body != http1.BodyNone
	h.head = h.parser.Verb == http1.VerbHead
	h.body.Start(h.conn, h.parser.Body, h.parser.Length)
}

func (h *HTTP1) broken(err error, inHead bool) error {
	switch {
	case errors.Is(err, flow.ErrBufferFull):
		return flow.Fail(flow.HeaderTooLarge, err)
	case errors.Is(err, flow.ErrNoRoom):
		return flow.NotHanded(flow.Overloaded, err)
	case inHead && isTimeout(err):
		return flow.Fail(flow.SlowRequest, err)
	case inHead && errors.Is(err, io.EOF):
		return flow.Fail(flow.ClientGone, io.ErrUnexpectedEOF)
	}
	return err
}

// refused turns what the parser said into a reason.
func refused(err error) error {
	var e http1.Error
	if !errors.As(err, &e) {
		return flow.Fail(flow.BadRequest, err)
	}
	switch e.Status() {
	case 414:
		return flow.Fail(flow.TargetTooLong, err)
	case 431:
		return flow.Fail(flow.HeaderTooLarge, err)
	case 501:
		return flow.Fail(flow.NotImplemented, err)
	case 505:
		return flow.Fail(flow.VersionNotSupported, err)
	}
	return flow.Fail(flow.BadRequest, err)
}

// Next is part of flow.Body.
func (h *HTTP1) Next() ([]byte, error) { return h.body.Next() }

// Waits is part of flow.Body.
func (h *HTTP1) Waits() bool { return h.body.Waits() }

// Trailers is part of flow.Body.
func (h *HTTP1) Trailers() []flow.Field { return h.body.Trailers() }

// Buffered is part of flow.Caller.
func (h *HTTP1) Buffered() ([]byte, bool) { return h.body.Whole() }

// Respond is part of flow.Caller. A client of HTTP/1.0 knows no interim answers.
func (h *HTTP1) Respond(r *flow.Response, end bool) error {
	if r.Status == 100 {
		h.expects = false
	}
	if r.Status < 200 && !r.Switched && h.minor == 0 {
		return nil
	}
	minor := min(uint8(r.Version), 1)
	out := r.AppendHead(h.conn.Out(), minor)
	switch {
	case r.Upgrade != "":
		out = http1.AppendField(out, "Connection", "Upgrade")
		out = http1.AppendField(out, "Upgrade", r.Upgrade)
	case r.Status >= 200 && !r.Switched:
		out = h.frame(out, r, minor, end)
	}
	if r.Leno != "" {
		out = http1.AppendField(out, "leno-reason", r.Leno)
	}
	h.conn.SetOut(http1.AppendEnd(out))
	if end || r.Status < 200 || r.Switched {
		return h.answered(h.conn.Flush(), end)
	}
	return nil
}

// answered notes that the answer has been written whole, when it has.
func (h *HTTP1) answered(err error, end bool) error {
	if end && err == nil {
		h.conn.Seat.Answered()
	}
	return err
}

// frame adds the fields that are about this connection only, and decides
// whether it can be used again.
func (h *HTTP1) frame(out []byte, r *flow.Response, minor uint8, end bool) []byte {
	kind := http1.BodyLength
	switch {
	case end:
		kind = http1.BodyNone
		if !h.head && !r.SaysLength() {
			out = http1.AppendField(out, "Content-Length", "0")
		}
	case r.Length < 0 && h.minor > 0 && minor > 0:
		kind = http1.BodyChunked
		out = http1.AppendField(out, "Transfer-Encoding", "chunked")
	case r.Length < 0:
		kind = http1.BodyUntilClose
		h.keepAlive = false
	}
	h.sink.Start(h.conn, kind, r.Length)
	// A client that waits for a 100 and got a final answer may or may not
	// send its body; nobody can tell what its next bytes are.
	if h.draining() || h.expects {
		h.keepAlive = false
	}
	switch {
	case !h.keepAlive:
		out = http1.AppendField(out, "Connection", "close")
	case h.minor == 0 || minor == 0:
		out = http1.AppendField(out, "Connection", "keep-alive")
	}
	return out
}

// Write is part of flow.Sink.
func (h *HTTP1) Write(p []byte, end bool) error { return h.answered(h.sink.Write(p, end), end) }

// Flush is part of flow.Sink.
func (h *HTTP1) Flush() error { return h.conn.Flush() }

// Finish is part of flow.Sink.
func (h *HTTP1) Finish(trailers []flow.Field) error {
	return h.answered(h.sink.Finish(trailers), true)
}

// StopBody is part of flow.Caller.
func (h *HTTP1) StopBody() { _ = h.conn.SetReadDeadline(time.Unix(1, 0)) }

// ResumeBody is part of flow.Caller.
func (h *HTTP1) ResumeBody() { _ = h.conn.SetReadDeadline(time.Time{}) }

// Abort is part of flow.Caller.
func (h *HTTP1) Abort(flow.Reason, http2.ErrCode) { h.conn.Abort() }

// Again says whether the connection can carry another request after one that
// was relayed cleanly.
func (h *HTTP1) Again() bool { return h.keepAlive && h.body.Ended() }

// Rest makes the connection cheap until its next request.
func (h *HTTP1) Rest() {
	if h.conn.Shrink() {
		h.parser.Reset()
		h.body.Start(h.conn, http1.BodyNone, 0)
	}
}

// RespondTunnel answers CONNECT. What follows belongs to the tunnel.
func (h *HTTP1) RespondTunnel(r *flow.Response) error {
	h.keepAlive = false
	h.conn.SetOut(http1.AppendEnd(r.AppendHead(h.conn.Out(), 1)))
	err := h.conn.Flush()
	h.conn.Seat.Idle() // what is waited for from here on is no body
	return err
}

// Spoil is part of flow.Caller. It makes the next answer the connection's last,
// because nothing that follows on it can be trusted: the head was bad, or a body
// is not read.
func (h *HTTP1) Spoil() { h.keepAlive = false }

// SpoilHead is Spoil for a request whose head could not be read.
func (h *HTTP1) SpoilHead() {
	h.keepAlive, h.minor, h.expects, h.head = false, 1, false, false
	h.body.Start(h.conn, http1.BodyNone, 0)
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
