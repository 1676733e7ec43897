package flow

import (
	"strconv"
)

// Failure is the answer that Leno makes when it fails a request itself. It is
// kept for a connection so that its buffers are used again.
type Failure struct {
	Response Response
	body     []byte
	trailers [3]Field
}

// Make fills in the answer: for HTTP the status of the reason with a line of
// text, for gRPC a trailers-only answer with its gRPC status. It gives the
// body.
func (f *Failure) Make(e *Error, grpc bool) (r *Response, body []byte) {
	row := e.Reason.Row()
	r = &f.Response
	*r = Response{Status: row.Status, Version: HTTP11, Fields: r.Fields[:0], Leno: row.Code}
	if grpc {
		r.Status = 200
		r.Reason = usualReason(r.Status)
		r.Fields = append(r.Fields,
			Field{Name: "Content-Type", Value: "application/grpc"},
			Field{Name: "Grpc-Status", Value: strconv.Itoa(row.GRPC)},
			Field{Name: "Grpc-Message", Value: grpcMessage(row)})
		return r, nil
	}
	f.body = append(f.body[:0], "leno: "+row.Code+": "+row.What+"; "+row.Next+"\n"...)
	r.Reason = usualReason(r.Status)
	r.Length = int64(len(f.body))
	r.Fields = append(r.Fields,
		Field{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		Field{Name: "Content-Length", Value: strconv.Itoa(len(f.body))})
	return r, f.body
}

// Answer sends the failure of a request to its caller. What ended with a code
// of HTTP/2 ends so for a caller of HTTP/2 too.
func (f *Failure) Answer(c Caller, e *Error, req *Request) error {
	if e.Code != 0 && req.Version == HTTP20 {
		c.Abort(e.Reason, e.Code)
		return nil
	}
	r, body := f.Make(e, req.GRPC())
	if err := c.Respond(r, len(body) == 0 || req.Head); err != nil || len(body) == 0 || req.Head {
		return err
	}
	return c.Write(body, true)
}
