package flow

import (
	"errors"
	"io"
	"sync"
	"time"
)

// Relay carries one request at a time between a caller and an exchange. It is
// kept for the life of a connection or a worker, so that a request costs no
// allocation.
type Relay struct {
	Response Response // the head of the answer that was relayed last
	// OnFailure answers a request that failed before it was answered and whose
	// body is gone in part, so that it cannot be tried again. It is called
	// while the caller still takes an answer.
	OnFailure func(*Error)
	// HeadAt is when its final head came: the end of the latency that is
	// measured.
	HeadAt time.Time
	// GRPCStatus is that of the answer to a gRPC call, -1 for anything else and
	// where there is none.
	GRPCStatus int
	// Keep has the beginning of a streamed body kept, so that a request that
	// was not handed over can be sent elsewhere. See Outcome.Again.
	Keep bool
	// Untaken is how long the other end may take nothing of a body once its answer
	// is whole. Default UntakenTime.
	Untaken time.Duration
	// Buffers counts what is kept beyond a small buffer; nil for nobody.
	Buffers *Buffers
	kept    kept
	// goAhead is true when the caller was told to send its body (100).
	goAhead bool
	timer   *time.Timer

	mu      sync.Mutex
	current Exchange  // guarded by mu; what Interrupt would cancel
	why     Reason    // guarded by mu; for which it was interrupted
	due     time.Time // guarded by mu; when the time is over
	ended   stop      // guarded by mu; see EndFor
	awaited bool      // guarded by mu; see Await
	early   stop      // guarded by mu; an interruption before Run
	// gone is closed by that; nil: nobody waits for it.
	gone    chan struct{} // guarded by mu
	opening opening
}

// Outcome says how a relayed request ended.
type Outcome struct {
	Err *Error // nil when the answer was relayed whole
	// Answered is true when the final head went to the caller, so that no
	// other answer can be given.
	Answered bool
	// Told is true when that answer was Leno's own, made by OnFailure, or when
	// it was relayed to its end, which says that a peer's proxy failed it.
	Told bool
	// Switched is true when the answer ended HTTP on this connection. The
	// exchange was not given back: its connection is to be joined with the
	// caller's.
	Switched bool
	// Again is true when nothing of the request was lost, so that Run may
	// send it to another exchange. Forget must be called when it does not.
	Again bool
	// Clean is true when both directions ended as they should, so that the
	// caller's connection can carry another request.
	Clean bool
}

// Run sends the request, relays the answer and the two bodies. The exchange
// is given back before it returns. A timeout of zero means none.
func (x *Relay) Run(c Caller, ex Exchange, r *Request, timeout time.Duration) Outcome {
	if why := x.begin(ex, timeout); why != ReasonNone {
		x.finish(timeout) // nobody wants it any more: nothing is sent
		ex.Done(false)
		x.kept.forget()
		return Outcome{Err: NotHanded(why, nil)}
	}
	out := x.run(c, ex, r)
	if why := x.finish(timeout); why != ReasonNone {
		out.Clean = false
		if out.Err != nil {
			out.Err = Fail(why, out.Err)
		}
	}
	if out.Switched {
		return out
	}
	ex.Done(out.Clean && out.Err == nil)
	if out.Err == nil || !out.Again {
		x.kept.forget()
	}
	return out
}

func (x *Relay) run(c Caller, ex Exchange, r *Request) Outcome {
	body, whole := c.Buffered()
	if !whole {
		body = nil
	}
	if x.kept.held {
		body = x.kept.before(body, whole)
	}
	x.GRPCStatus = -1
	if err := ex.Send(r, body, whole); err != nil {
		return Outcome{Err: AsError(err, PeerReset), Again: true}
	}
	if whole {
		out := x.answer(c, ex, r)
		out.Again = !out.Answered
		return out
	}
	// The pump may overwrite the buffer that the request is a view of.
	x.kept.own(r, x.Buffers)
	up := startPump(c, ex, x.keeps(), x.Untaken)
	out := x.answer(c, ex, r)
	if out.Err != nil && !out.Answered {
		if out.Err.NotHanded && x.Keep && up.rewind(c, ex, &x.kept) {
			out.Again = true
			return out
		}
		x.OnFailure(out.Err)
		out.Answered, out.Told = true, true
	}
	if out.Err == nil && r.Tunnel() && x.Response.Status < 300 {
		<-up.done // each direction ends by itself
	}
	cut := out.Err != nil || out.Switched || x.withheld(r, up)
	if !cut {
		x.resume(ex)
	}
	out.Clean = up.join(c, ex, cut) && out.Clean
	return out
}

// withheld says whether the caller keeps a body back that it asked about
// (Expect), and that nobody told it to send.
func (x *Relay) withheld(r *Request, up *pump) bool {
	_, expects := r.Header("expect")
	return expects && !x.goAhead && !up.came.Load()
}

func (x *Relay) keeps() *kept {
	if x.Keep {
		return &x.kept
	}
	return nil
}

// Forget drops what was kept of a request that is not sent again.
func (x *Relay) Forget() { x.kept.forget() }

// Rest drops the views that r and the last answer are of buffers, which a
// connection that waits for its next request must not keep alive.
func (x *Relay) Rest(r *Request) {
	clear(r.Fields[:cap(r.Fields)])
	*r = Request{Fields: r.Fields[:0]}
	a := &x.Response
	clear(a.Fields[:cap(a.Fields)])
	*a = Response{Fields: a.Fields[:0]}
}

// answer relays the heads and the body of the answer.
func (x *Relay) answer(c Caller, ex Exchange, r *Request) Outcome {
	resp, head, grpc := &x.Response, r.Head, r.GRPC()
	x.goAhead = false
	for {
		if err := ex.Receive(resp); err != nil {
			return Outcome{Err: AsError(err, PeerReset)}
		}
		if resp.Status >= 200 || resp.Switched {
			break
		}
		x.goAhead = x.goAhead || resp.Status == 100
		if err := c.Respond(resp, false); err != nil {
			return Outcome{Err: Fail(ClientGone, err), Answered: true}
		}
	}
	x.HeadAt = time.Now()
	if resp.Switched {
		if err := c.Respond(resp, false); err != nil {
			return Outcome{Err: Fail(ClientGone, err), Answered: true}
		}
		return Outcome{Answered: true, Switched: true}
	}
	silent := resp.Bodiless() && resp.Length != 0
	end := resp.Length == 0 || head || silent && r.Version != HTTP20
	if end {
		x.received()
	}
	if err := c.Respond(resp, end); err != nil {
		return Outcome{Err: Fail(ClientGone, err), Answered: true}
	}
	if grpc {
		x.noteGRPC(resp.Fields)
	}
	switch {
	case end && silent && !head:
		// The caller has all of it. What the peer says is no HTTP/1.
		return Outcome{Err: Fail(BadResponse, errBody), Answered: true, Clean: true}
	case end:
		return Outcome{Answered: true, Clean: true}
	}
	var to Sink = c
	if silent {
		to = noBody{c}
	}
	readErr, writeErr := copyBody(to, ex, x)
	if grpc && readErr == nil {
		x.noteGRPC(ex.Trailers())
		if e := toldIn(ex.Trailers()); e != nil && writeErr == nil {
			return Outcome{Err: e, Answered: true, Told: true}
		}
	}
	switch {
	case readErr != nil:
		return Outcome{Err: AsError(readErr, PeerReset), Answered: true}
	case errors.Is(writeErr, ErrLength), errors.Is(writeErr, ErrTrailer):
		return Outcome{Err: Fail(BadResponse, writeErr), Answered: true}
	case writeErr != nil:
		return Outcome{Err: Fail(ClientGone, writeErr), Answered: true}
	}
	return Outcome{Answered: true, Clean: true}
}

var errBody = errors.New("an answer whose status has no body did not end with its head")

// noBody is the rest of an answer of HTTP/2 whose status has no body: its end
// may come later than its head, and nothing but trailers before it.
type noBody struct{ Sink }

func (s noBody) Write(p []byte, end bool) error {
	if len(p) > 0 {
		return ErrLength
	}
	return s.Sink.Write(p, end)
}

// copyBody moves a body to its end. It says which side failed: reading it or
// writing it. The relay, where it is an answer's body, is told when all of it
// has been read.
func copyBody(to Sink, from Body, x *Relay) (readErr, writeErr error) {
	for {
		if from.Waits() {
			if err := to.Flush(); err != nil {
				return nil, err
			}
		}
		p, err := from.Next()
		switch {
		case err == nil:
			if err := to.Write(p, false); err != nil {
				return nil, err
			}
		case errors.Is(err, io.EOF):
			if x != nil {
				x.received()
			}
			return nil, writeLast(to, p, from.Trailers())
		default:
			return err, nil
		}
	}
}

func writeLast(to Sink, p []byte, trailers []Field) error {
	if len(trailers) == 0 {
		return to.Write(p, true)
	}
	if len(p) > 0 {
		if err := to.Write(p, false); err != nil {
			return err
		}
	}
	return to.Finish(trailers)
}
