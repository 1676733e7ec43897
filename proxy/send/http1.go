package send

import (
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/http2"
)

// httpConn is a connection to an application or an unmeshed endpoint that
// speaks HTTP/1. It is a flow.Exchange, one request at a time.
type httpConn struct {
	conn   *flow.Conn
	pool   *HTTP
	parser http1.Response
	body   flow.HTTP1Body
	sink   flow.HTTP1Writer
	verb   http1.Verb

	reused    bool      // it carried a request before this one, or was idle
	adopted   bool      // nothing was ever said on it
	idleUntil time.Time // when the server may close it, or zero
	idleSince time.Time
	keepAlive bool
	bare      bool // the last answer had no body
	tunnel    bool // the answer may end HTTP on this connection
	interim   int  // answers of this request that were not final
	pinned    bool // it authenticated its client by connection: never shared
	// watched is closed when what Watch began has ended.
	watched chan struct{}
	// answered is true once a byte of the answer came.
	answered bool
	// cancel is the flow.Reason for which Cancel was called.
	cancel atomic.Uint32
}

var (
	errUnasked    = errors.New("101 without having been asked to switch protocols")
	errIdleAnswer = errors.New("408 to an idle connection")
	errInterim    = errors.New("too many interim answers to one request")
)

// Send is part of flow.Exchange.
func (h *httpConn) Send(r *flow.Request, body []byte, end bool) error {
	h.verb = http1.VerbOf(r.Method)
	h.answered, h.keepAlive, h.adopted, h.interim = false, true, false, 0
	out := r.AppendHead(h.conn.Out())
	if h.tunnel && r.Upgrade != "" {
		out = http1.AppendField(out, "Connection", "Upgrade")
		out = http1.AppendField(out, "Upgrade", r.Upgrade)
	}
	kind := http1.BodyLength
	switch {
	case r.Length < 0:
		kind = http1.BodyChunked
		out = http1.AppendField(out, "Transfer-Encoding", "chunked")
	case r.Length == 0:
		kind = http1.BodyNone
	}
	h.conn.SetOut(http1.AppendEnd(out))
	h.sink.Start(h.conn, kind, r.Length)
	err := h.sink.Write(body, end)
	if err == nil && !end {
		err = h.conn.Flush()
	}
	if errors.Is(err, flow.ErrLength) {
		return flow.Fail(flow.BadRequest, err)
	}
	// A server may answer before it has read everything and close. Receive
	// finds that answer, or the end of the connection.
	return nil
}

// Receive is part of flow.Exchange.
func (h *httpConn) Receive(r *flow.Response) error {
	for {
		if b := h.conn.Bytes(); len(b) > 0 {
			h.answered = true
			n, err := h.parser.Parse(b, h.verb, &h.pool.Limits)
			if err != nil {
				return flow.Fail(h.pool.malformed(), err)
			}
			if n > 0 && h.parser.Upgrade && !h.tunnel {
				return flow.Fail(h.pool.malformed(), errUnasked)
			}
			if n > 0 && h.idleAnswer() {
				return h.failed(errIdleAnswer)
			}
			if n > 0 && h.parser.Interim() {
				if h.interim++; h.interim > h.pool.Limits.MaxInterim() {
					return flow.Fail(h.pool.malformed(), errInterim)
				}
			}
			if n > 0 {
				h.begin(r, n)
				return nil
			}
		}
		if err := h.conn.Fill(); err != nil {
			return h.failed(err)
		}
	}
}

// idleAnswer says whether the head is no answer to the request but what some
// servers say before they close an idle connection, which crossed the request.
func (h *httpConn) idleAnswer() bool {
	idle := h.reused && h.parser.Status == 408 && !h.parser.KeepAlive && h.verb.Idempotent()
	h.answered = h.answered && !idle
	return idle
}

func (h *httpConn) begin(r *flow.Response, n int) {
	r.FromHTTP1(&h.parser)
	h.conn.Consume(n)
	if h.parser.Interim() {
		return
	}
	h.bare = h.parser.Body == http1.BodyNone
	h.body.Limits = &h.pool.Limits
	h.body.Start(h.conn, h.parser.Body, h.parser.Length)
	h.keepAlive = h.keepAlive && h.parser.KeepAlive
	h.idleUntil = time.Time{}
	if t := h.parser.KeepAliveTimeout; t > 0 {
		h.idleUntil = time.Now().Add(t - t/8)
	}
	if bindsConnection(&h.parser) {
		h.pinned = true
	}
}

// bindsConnection says whether the answer asks for an authentication that
// then holds for the whole connection (NTLM, Negotiate): such a connection
// belongs to one client and is not given to another.
func bindsConnection(r *http1.Response) bool {
	for i := range r.Fields {
		f := &r.Fields[i]
		if f.Kind != http1.KindWWWAuthenticate && f.Kind != http1.KindProxyAuthenticate {
			continue
		}
		for _, scheme := range [...]string{"ntlm", "negotiate"} {
			if len(f.Value) >= len(scheme) && flow.EqualFold(flow.View(f.Value[:len(scheme)]), scheme) {
				return true
			}
		}
	}
	return false
}

// failed says what the end of the connection means for the request.
func (h *httpConn) failed(err error) error {
	if r := flow.Reason(h.cancel.Load()); r != flow.ReasonNone { // a Reason was stored
		return flow.Fail(r, err)
	}
	switch {
	case errors.Is(err, flow.ErrBufferFull):
		return flow.Fail(h.pool.malformed(), err)
	case errors.Is(err, flow.ErrNoRoom):
		return flow.Fail(flow.Overloaded, err)
	}
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	e := flow.Fail(h.pool.reset(), err)
	// A server may close an idle connection just as we use it again. Doing
	// the request again is safe only when twice is the same as once.
	e.NotHanded = h.reused && !h.answered && h.verb.Idempotent()
	return e
}

// Next is part of flow.Body.
func (h *httpConn) Next() ([]byte, error) {
	p, err := h.body.Next()
	if err != nil && !errors.Is(err, io.EOF) {
		err = h.bodyFailed(err)
	}
	return p, err
}

func (h *httpConn) bodyFailed(err error) error {
	var e http1.Error
	cancelled := flow.Reason(h.cancel.Load()) // a Reason was stored
	switch {
	case cancelled != flow.ReasonNone:
		return flow.Fail(cancelled, err)
	case errors.As(err, &e):
		return flow.Fail(h.pool.malformed(), err)
	default:
		return flow.Fail(h.pool.reset(), err)
	}
}

// Waits is part of flow.Body.
func (h *httpConn) Waits() bool { return h.body.Waits() }

// Trailers is part of flow.Body.
func (h *httpConn) Trailers() []flow.Field { return h.body.Trailers() }

// Write is part of flow.Sink.
func (h *httpConn) Write(p []byte, end bool) error { return h.sink.Write(p, end) }

// Flush is part of flow.Sink.
func (h *httpConn) Flush() error { return h.conn.Flush() }

// Finish is part of flow.Sink.
func (h *httpConn) Finish(trailers []flow.Field) error { return h.sink.Finish(trailers) }

// Cancel is part of flow.Exchange.
func (h *httpConn) Cancel(r flow.Reason, _ http2.ErrCode) {
	h.cancel.Store(uint32(r))
	h.conn.Abort()
}

// Watch is part of flow.Exchange. Whatever comes now answers nothing, so that
// the connection is of no further use.
func (h *httpConn) Watch(gone func()) {
	h.watched = make(chan struct{})
	go func() {
		defer close(h.watched)
		if err := h.conn.Fill(); err == nil || !isTimeout(err) {
			h.keepAlive = false
			gone()
		}
	}()
}

// Unwatch is part of flow.Exchange.
func (h *httpConn) Unwatch() {
	_ = h.conn.SetReadDeadline(time.Unix(1, 0))
	<-h.watched
	_ = h.conn.SetReadDeadline(time.Time{})
}

// Done is part of flow.Exchange.
func (h *httpConn) Done(clean bool) {
	if clean && h.keepAlive && !h.pinned && h.cancel.Load() == 0 && h.body.Ended() && len(h.conn.Bytes()) == 0 {
		h.pool.put(h)
		return
	}
	if clean {
		_ = h.conn.Close()
	} else {
		h.conn.Abort()
		_ = h.conn.Close()
	}
	h.pool.closed(h)
}
