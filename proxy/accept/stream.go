package accept

import (
	"context"
	"io"

	"github.com/leno-mesh/leno/proxy/flow"
	"github.com/leno-mesh/leno/proxy/http2"
	"github.com/leno-mesh/leno/proxy/mux"
)

// Stream is a request that came on a link. It is a flow.Caller. It can be
// used for one stream after another.
type Stream struct {
	stream  *mux.Stream
	ref     mux.Ref
	ended   bool // the request's body is known to have ended with its head
	message flow.Message
}

// ReadRequest takes the head of the stream. It gives the value of leno-link.
func (s *Stream) ReadRequest(st *mux.Stream, r *flow.Request) (where string, err error) {
	s.stream, s.ref = st, st.Ref()
	fields, end, err := st.Head(context.Background())
	if err != nil {
		return "", err
	}
	s.ended = end
	where, err = r.FromFields(fields, end)
	if err != nil {
		return "", flow.Fail(flow.BadRequest, err)
	}
	return where, nil
}

// Next is part of flow.Body. The end comes with the last bytes when it is
// there: an application that has read them may answer at once, and by then it
// must be known that the request was sent whole.
func (s *Stream) Next() ([]byte, error) {
	p, err := s.stream.Next()
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
	return s.stream.WriteHead(s.message.Response(r), end)
}

// Write is part of flow.Sink.
func (s *Stream) Write(p []byte, end bool) error {
	if end {
		return s.stream.WriteFinal(p)
	}
	_, err := s.stream.Write(p)
	return err
}

// Flush is part of flow.Sink: the link's writer gathers and sends by itself.
func (s *Stream) Flush() error { return nil }

// Finish is part of flow.Sink.
func (s *Stream) Finish(trailers []flow.Field) error { return s.stream.CloseWrite(trailers) }

// Abort is part of flow.Caller.
func (s *Stream) Abort(r flow.Reason) { s.ref.Reset(http2.ErrCodeInternal, r.String()) }

// Refuse tells the outbound proxy that nothing was handed to the application,
// so that it may send the request elsewhere.
func (s *Stream) Refuse(r flow.Reason) { s.ref.Reset(http2.ErrCodeRefusedStream, r.String()) }

// StopBody is part of flow.Caller. Its reset is no abort by the other side.
func (s *Stream) StopBody() {
	s.stream.OnAbort(nil)
	s.ref.Reset(http2.ErrCodeNo, "the rest is not wanted")
}

// ResumeBody is part of flow.Caller: here a stopped body stays stopped.
func (s *Stream) ResumeBody() {}

// OnAbort has f called when the stream ends before its time.
func (s *Stream) OnAbort(f func()) { s.stream.OnAbort(f) }

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
