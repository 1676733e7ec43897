package flow

import "github.com/leno-mesh/leno/proxy/http2"

// Body is one direction's body and what may follow it.
type Body interface {
	// Next gives some bytes, valid until the next call. The end is io.EOF,
	// which may come with the last bytes.
	Next() ([]byte, error)
	// Waits says whether Next would have to wait for the network.
	Waits() bool
	// Trailers gives the fields after the body, once Next gave io.EOF.
	Trailers() []Field
}

// Sink takes one direction's body.
type Sink interface {
	// Write sends some bytes, the last ones when end is set. It blocks while
	// the other side is slow, and may keep small writes back until Flush.
	Write(p []byte, end bool) error
	Flush() error
	// Finish ends the body with trailers.
	Finish(trailers []Field) error
}

// Caller is the side that a request came from: an HTTP/1 connection, or a
// stream of a link or of a client's own HTTP/2 connection. Respond, Sink and Body of it may be used by one goroutine
// each.
type Caller interface {
	Body // of the request
	Sink // of the response
	// Buffered gives a body that has arrived whole already, so that it can be
	// sent again; ok is false when some of it is still to come.
	Buffered() (body []byte, ok bool)
	// Respond sends a head: any number of interim ones, then one final. With
	// end set no body follows.
	Respond(r *Response, end bool) error
	// Abort ends the request so that the caller cannot take what it got for
	// complete. It may be called from any goroutine. A caller of HTTP/2 is told
	// the code; 0 is for one that follows from the reason.
	Abort(r Reason, code http2.ErrCode)
	// Spoil says that the rest of the request is not read, so that no other one
	// can follow it where they share a connection one after another.
	Spoil()
	// StopBody wakes up a Next that waits, because nobody wants the rest.
	StopBody()
	// ResumeBody undoes StopBody, where nothing of the body was lost.
	ResumeBody()
}

// Exchange is the side that a request goes to: an HTTP/1 connection, or a
// stream of a link or of an application's own HTTP/2 connection.
type Exchange interface {
	Body // of the response
	Sink // of the rest of the request
	// Send sends the head, and body with it. With end set no more follows.
	Send(r *Request, body []byte, end bool) error
	// Receive waits for the next head of the answer.
	Receive(r *Response) error
	// Cancel gives up: it wakes up whoever waits in the exchange, from any
	// goroutine. The code is as in Caller.Abort.
	Cancel(r Reason, code http2.ErrCode)
	// Watch has gone called, which is quick, when the other end takes nothing
	// more of the request: it closed, or reset. It is for the time when the
	// answer is whole and nobody reads.
	Watch(gone func())
	// Unwatch ends this: gone is not called any more.
	Unwatch()
	// Done gives the exchange back after the last call. Clean says that both
	// directions ended as they should, so that its connection can be used
	// again.
	Done(clean bool)
}
