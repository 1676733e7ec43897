package flow

import "strconv"

// noteGRPC looks for the status of a call, which comes in the trailers, or in
// the head where there is nothing else.
func (x *Relay) noteGRPC(fields []Field) {
	for i := range fields {
		if f := &fields[i]; len(f.Name) == len("grpc-status") && EqualFold(f.Name, "grpc-status") {
			if n, err := strconv.Atoi(f.Value); err == nil {
				x.GRPCStatus = n
			}
		}
	}
}

// toldIn gives the failure that the peer's proxy told at the end of an answer. No
// application can: what it says of Leno's own was left behind.
func toldIn(trailers []Field) *Error {
	for i := range trailers {
		if f := &trailers[i]; f.Name == FieldReason {
			return &Error{Reason: ParseReason(f.Value), Remote: true}
		}
	}
	return nil
}

// Cut ends an answer that was begun and cannot be given whole. A caller of gRPC
// is told why in the trailers, since of a reset it learns no more than INTERNAL.
// A code of HTTP/2 with which the other end reset the stream is carried on.
func (f *Failure) Cut(c Caller, e *Error, req *Request, begun *Response) {
	if tellsCut(e, req, begun) && c.Finish(f.grpcEnd(e.Reason.Row())) == nil {
		return
	}
	c.Abort(e.Reason, e.Code)
}

func tellsCut(e *Error, req *Request, begun *Response) bool {
	return e.Code == 0 && e.Reason != ClientGone && req.Version == HTTP20 && begun.Status == 200 && req.GRPC()
}

func (f *Failure) grpcEnd(row Row) []Field {
	f.trailers = [...]Field{
		{Name: "grpc-status", Value: strconv.Itoa(row.GRPC)},
		{Name: "grpc-message", Value: grpcMessage(row)},
		{Name: FieldReason, Value: row.Code},
	}
	return f.trailers[:]
}

func grpcMessage(row Row) string { return "leno: " + row.Code + ": " + row.What }
