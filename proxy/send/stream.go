package send

import (
	"context"
	"errors"
	"io"
	"sync"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/mux"
)

// streamExchange is a request on a link, or on an application's own connection
// of HTTP/2. It is a flow.Exchange.
type streamExchange struct {
	peer    *Peer       // of a link
	plain   *sharedConn // of an application; nil on a link
	link    *mux.Conn
	where   string
	target  string
	stream  *mux.Stream
	ref     mux.Ref
	message flow.Message
	head    bool // the request was HEAD, whose answer has a length and no body
	twice   bool // the request may be sent twice
	begun   bool // something of the answer came

	mu       sync.Mutex
	canceled flow.Reason   // guarded by mu; why Cancel was called
	code     http2.ErrCode // guarded by mu; with which
}

var errExtended = errors.New("the other end does not announce extended CONNECT")

// Send is part of flow.Exchange. The stream is opened here, so that HEADERS
// and a small body go out together.
func (s *streamExchange) Send(r *flow.Request, body []byte, end bool) error {
	s.head, s.begun = r.Head, false
	var fields []flow.Field
	if s.plain != nil {
		if r.Protocol != "" && !s.plain.extended {
			return flow.NotHanded(flow.NotImplemented, errExtended)
		}
		s.twice = http1.VerbOf(r.Method).Idempotent()
		fields = s.message.PlainRequest(r, s.target)
	} else {
		fields = s.message.Request(r, s.where, s.target)
	}
	st, err := s.link.Open(fields, end && len(body) == 0)
	if err != nil {
		return s.notOpened(err)
	}
	s.mu.Lock()
	s.stream, s.ref = st, st.Ref()
	gone, code := s.canceled, s.code
	s.mu.Unlock()
	if gone != flow.ReasonNone {
		s.ref.Reset(code, gone.String())
	}
	if len(body) == 0 {
		return nil
	}
	// A peer may answer before it has read everything and reset the stream.
	// Receive finds that answer, or why there is none.
	_ = s.Write(body, end)
	return nil
}

func (s *streamExchange) notOpened(err error) error {
	if errors.Is(err, mux.ErrHeadTooLarge) {
		return flow.Fail(flow.HeaderTooLarge, err)
	}
	if errors.Is(err, mux.ErrFull) {
		return flow.NotHanded(flow.Overloaded, err)
	}
	return flow.NotHanded(flow.Draining, err)
}

// Receive is part of flow.Exchange.
func (s *streamExchange) Receive(r *flow.Response) error {
	fields, end, err := s.stream.Head(context.Background())
	if err != nil {
		return s.failed(err)
	}
	s.begun = true
	if s.plain != nil {
		return s.receivePlain(r, fields, end)
	}
	if err := r.FromFields(fields, end); err != nil {
		s.ref.Reset(http2.ErrCodeProtocol, err.Error())
		return flow.Fail(flow.BadResponse, err)
	}
	if end && !s.head && r.Status != 204 && r.Status != 304 && http2.ContentLength(fields) > 0 {
		// The client would take the next answer for this one's body.
		s.ref.Reset(http2.ErrCodeProtocol, flow.ErrLength.Error())
		return flow.Fail(flow.BadResponse, flow.ErrLength)
	}
	if r.Status == 101 {
		s.ref.Reset(http2.ErrCodeProtocol, errUnasked.Error())
		return flow.Fail(flow.BadResponse, errUnasked)
	}
	if r.Answer != "" || r.Leno != "" {
		if e := refusal(r); e != nil {
			return e
		}
	}
	return nil
}

// receivePlain takes a head of an application's answer.
func (s *streamExchange) receivePlain(r *flow.Response, fields []flow.Field, end bool) error {
	err := r.FromPlain(fields, end)
	r.Extended = s.plain.extended
	if err == nil && end && !s.head && r.Status != 304 && http2.ContentLength(fields) > 0 {
		err = flow.ErrLength
	}
	if err != nil {
		s.ref.Reset(http2.ErrCodeProtocol, err.Error())
		return flow.Fail(s.plain.pool.http.malformed(), err)
	}
	return nil
}

// refusal says which of the answers that the peer's proxy made are to be
// treated as failures of the endpoint rather than as the answer.
func refusal(r *flow.Response) *flow.Error {
	reason := flow.ParseReason(r.Leno)
	switch r.Answer {
	case flow.AnswerRefused:
		if reason == flow.BadRequest {
			return nil // it would be one everywhere
		}
		return &flow.Error{Reason: reason, NotHanded: true, Remote: true}
	case flow.AnswerWrongWorkload:
		return &flow.Error{Reason: flow.WrongWorkload, NotHanded: true, Remote: true}
	case flow.AnswerFailed:
		return &flow.Error{Reason: reason, Remote: true}
	}
	return nil
}

// failed turns the end of the stream into a reason.
func (s *streamExchange) failed(err error) error {
	s.mu.Lock()
	canceled := s.canceled
	s.mu.Unlock()
	if canceled != flow.ReasonNone {
		return flow.Fail(canceled, err)
	}
	e := streamFailed(err)
	if s.plain == nil {
		return e
	}
	e.Remote = false // what the application does is not said by a peer's proxy
	var se *mux.StreamError
	switch {
	case errors.As(err, &se) && !se.Remote: // what it sent made no sense
		e.Reason = s.plain.pool.http.malformed()
	default:
		e.Reason = s.plain.pool.http.reset()
		// As with HTTP/1, a connection may end just as it is used again.
		e.NotHanded = e.NotHanded || se != nil && se.Conn && s.twice && !s.begun && s.plain.reused.Load()
	}
	return e
}

func streamFailed(err error) *flow.Error {
	e := flow.Fail(flow.PeerReset, err)
	var se *mux.StreamError
	if errors.As(err, &se) {
		e.NotHanded, e.Remote = se.NotHanded, se.Remote
		switch {
		case errors.Is(err, mux.ErrDraining):
			e.Reason = flow.Draining
		case se.Remote && se.Code == http2.ErrCodeRefusedStream:
			e.Reason = flow.Overloaded
		case se.Remote && !se.Conn:
			e.Code = se.Code
			if se.Code == http2.ErrCodeEnhanceYourCalm {
				e.Reason = flow.Overloaded // it sheds, which is no fault of it
			}
		}
	}
	return e
}

// Next is part of flow.Body.
func (s *streamExchange) Next() ([]byte, error) {
	p, err := s.stream.Next()
	if err != nil && err != io.EOF { //nolint:errorlint // the stream gives io.EOF itself; errors.Is would cost
		return p, s.failed(err)
	}
	return p, err
}

// Waits is part of flow.Body.
func (s *streamExchange) Waits() bool { return s.stream.Waiting() }

// Trailers is part of flow.Body.
func (s *streamExchange) Trailers() []flow.Field {
	if s.plain != nil {
		return flow.WithoutOurs(s.stream.Trailers())
	}
	return s.stream.Trailers()
}

// Write is part of flow.Sink.
func (s *streamExchange) Write(p []byte, end bool) error {
	if end {
		return s.stream.WriteFinal(p)
	}
	_, err := s.stream.Write(p)
	return err
}

// Flush is part of flow.Sink.
func (s *streamExchange) Flush() error { return nil }

// Finish is part of flow.Sink.
func (s *streamExchange) Finish(trailers []flow.Field) error {
	if s.plain == nil {
		return s.stream.CloseWrite(flow.LinkTrailers(trailers))
	}
	trailers, err := flow.PlainTrailers(trailers)
	if err != nil {
		return err
	}
	return s.stream.CloseWrite(trailers)
}

// Cancel is part of flow.Exchange.
func (s *streamExchange) Cancel(r flow.Reason, code http2.ErrCode) {
	if code == 0 {
		code = http2.ErrCodeCancel
	}
	s.mu.Lock()
	s.canceled, s.code = r, code
	ref, open := s.ref, s.stream != nil
	s.mu.Unlock()
	if open {
		ref.Reset(code, r.String())
	}
}

// Watch is part of flow.Exchange.
func (s *streamExchange) Watch(gone func()) { s.stream.OnAbort(func(*mux.StreamError) { gone() }) }

// Unwatch is part of flow.Exchange.
func (s *streamExchange) Unwatch() { s.stream.OnAbort(nil) }

// Done is part of flow.Exchange.
func (s *streamExchange) Done(bool) {
	s.mu.Lock()
	st, gone := s.stream, s.canceled == flow.ClientGone
	s.stream, s.ref, s.canceled, s.link = nil, mux.Ref{}, flow.ReasonNone, nil
	s.mu.Unlock()
	if st != nil && gone && s.plain == nil {
		// The peer serves it until it has heard of it. So long it is the client's:
		// who takes requests back has no more on the link than who does not.
		st.AwaitReset()
	}
	if st != nil {
		st.Release()
	}
	if c := s.plain; c != nil {
		s.plain = nil
		c.pool.give(c)
		c.pool.exchanges.Put(s)
		return
	}
	s.peer.exchanges.Put(s)
}
