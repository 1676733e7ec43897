package accept

import (
	"context"
	"errors"
	"io"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/mux"
)

// Stream is a request that came on a link, or on a client's own connection of
// HTTP/2. It is a flow.Caller. It can be used for one stream after another.
type Stream struct {
	stream  *mux.Stream
	ref     mux.Ref
	ended   bool // the request's body is known to have ended with its head
	plain   bool // the other end is a client, no proxy of ours
	seat    *flow.Seat
	message flow.Message
}

// ReadRequest takes the head of the stream. It gives the value of leno-link.
func (s *Stream) ReadRequest(st *mux.Stream, r *flow.Request) (where string, err error) {
	fields, end, err := s.begin(st)
	if err != nil {
		return "", err
	}
	where, err = r.FromFields(fields, end)
	if err != nil {
		return "", flow.Fail(flow.BadRequest, err)
	}
	return where, nil
}

// ReadPlain takes the head of a stream of a client's own connection, whose seat
// is told when the client is waited for.
func (s *Stream) ReadPlain(st *mux.Stream, seat *flow.Seat, r *flow.Request) error {
	fields, end, err := s.begin(st)
	s.plain, s.seat = true, seat
	if err != nil {
		return err
	}
	if err := r.FromPlain(fields, end); err != nil {
		return flow.Fail(flow.BadRequest, err)
	}
	return nil
}

func (s *Stream) begin(st *mux.Stream) (fields []flow.Field, end bool, err error) {
	s.stream, s.ref, s.plain, s.seat = st, st.Ref(), false, nil
	fields, s.ended, err = st.Head(context.Background())
	if errors.Is(err, mux.ErrHeadTooLarge) {
		err = flow.Fail(flow.HeaderTooLarge, err)
	}
	return fields, s.ended, err
}

// Next is part of flow.Body. The end comes with the last bytes when it is
// there: an application that has read them may answer at once, and by then it
// must be known that the request was sent whole.
func (s *Stream) Next() ([]byte, error) {
	s.seat.Reads()
	p, err := s.stream.Next()
	s.seat.Read(len(p))
	if err == nil && s.stream.Last() {
		err = io.EOF
	}
	return p, err
}

// Waits is part of flow.Body. The other side buffers by itself, so that a
// flush too many costs little.
func (s *Stream) Waits() bool { return true }

// Trailers is part of flow.Body.
func (s *Stream) Trailers() []flow.Field { return s.stream.Trailers() }

// Buffered is part of flow.Caller.
func (s *Stream) Buffered() ([]byte, bool) {
	if s.ended {
		return nil, true
	}
	if len(s.stream.Trailers()) > 0 {
		return nil, false
	}
	return s.stream.Buffered()
}

// Respond is part of flow.Caller.
func (s *Stream) Respond(r *flow.Response, end bool) error {
	s.seat.Reads() // a client that does not read keeps heads waiting too
	defer s.seat.Read(0)
	if s.plain {
		return s.stream.WriteHead(s.message.PlainResponse(r), end)
	}
	return s.stream.WriteHead(s.message.Response(r), end)
}

// Write is part of flow.Sink.
func (s *Stream) Write(p []byte, end bool) error {
	s.seat.Reads()
	defer s.seat.Read(len(p))
	if end {
		return s.stream.WriteFinal(p)
	}
	_, err := s.stream.Write(p)
	return err
}

// Flush is part of flow.Sink: the link's writer gathers and sends by itself.
func (s *Stream) Flush() error { return nil }

// Finish is part of flow.Sink.
func (s *Stream) Finish(trailers []flow.Field) error {
	s.seat.Reads()
	defer s.seat.Read(0)
	if !s.plain {
		return s.stream.CloseWrite(flow.LinkTrailers(trailers))
	}
	trailers, err := flow.ClientTrailers(trailers)
	if err != nil {
		return err
	}
	return s.stream.CloseWrite(trailers)
}

// Abort is part of flow.Caller.
func (s *Stream) Abort(r flow.Reason, code http2.ErrCode) {
	if code == 0 {
		code = http2.ErrCodeInternal
	}
	s.ref.Reset(code, r.String())
}

// Malformed aborts a stream whose head made no sense, at the expense of its peer.
func (s *Stream) Malformed(r flow.Reason) { s.ref.Fault(http2.ErrCodeProtocol, r.String()) }

// Spoil is part of flow.Caller: what is left of a stream disturbs no other.
func (s *Stream) Spoil() {}

// StopBody is part of flow.Caller.
func (s *Stream) StopBody() { s.stream.StopRead() }

// ResumeBody is part of flow.Caller.
func (s *Stream) ResumeBody() { s.stream.ResumeRead() }

// Announce tells the client a setting of its connection, once.
func (s *Stream) Announce(v http2.Setting) { s.stream.Conn().Announce(v) }

// OnAbort has f called when the stream ends before its time.
func (s *Stream) OnAbort(f func(*mux.StreamError)) { s.stream.OnAbort(f) }

// Answer tells what became of an opaque stream, before any byte of the
// server. Any answer but connected ends the stream.
func (s *Stream) Answer(fail flow.Reason) error {
	if fail == flow.ReasonNone {
		return s.stream.WriteHead([]flow.Field{
			{Name: ":status", Value: "200"},
			{Name: flow.FieldAnswer, Value: flow.AnswerConnected},
		}, false)
	}
	r := flow.Response{Status: fail.Row().Status, Leno: fail.String()}
	if fail == flow.WrongWorkload {
		r.Status = 421
	}
	r.Reason = ""
	return s.stream.WriteHead(s.message.Response(&r), true)
}

// Conn gives the stream as one end of an opaque connection.
func (s *Stream) Conn() *flow.StreamConn {
	return flow.NewStreamConn(flow.NewStreamDuplex(s.stream, false))
}
