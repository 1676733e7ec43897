package http1

import "time"

// maxKeepAlive bounds what a Keep-Alive field can promise.
const maxKeepAlive = 24 * time.Hour

// Response is the head of a response and the parser that reads it. The zero
// value is ready. All slices are slices of the input. Unless Parse returned
// n > 0, the exported fields mean nothing.
type Response struct {
	Minor  uint8 // HTTP/1.Minor: 0 or 1
	Status int   // 100 to 999
	Reason []byte
	Fields []Field

	Body      Body
	Length    int64 // of a BodyLength body
	Chunked   bool  // Transfer-Encoding: chunked was there, even where no body follows (HEAD, 304)
	KeepAlive bool  // the server lets the connection stay after the body
	Upgrade   bool  // 101: the bytes behind the head belong to another protocol
	Tunnel    bool  // 2xx to CONNECT: the bytes behind the head are the tunnel's

	// KeepAliveTimeout is how long the server promises to keep the idle
	// connection (Keep-Alive: timeout=N), 0 when it promises nothing.
	KeepAliveTimeout time.Duration

	lines   lines
	has     facts
	started bool // the status line has been judged
}

// Interim reports whether this is a 1xx answer that another answer follows.
// 101 is none: it is the last of its kind on the connection.
func (r *Response) Interim() bool { return r.Status < 200 && r.Status != 101 }

// Parse reads a response head from the start of b (RFC 9112, section 4); verb
// is the request's method, which decides about the body (section 6.3). It
// returns the length of the head; n == 0, errors and reuse are as with
// Request.Parse.
//
// A missing space after the status code is tolerated, since many servers leave
// it out with the reason. Lengths on answers that have no body (1xx, 204, 304,
// to HEAD, 2xx to CONNECT) are checked and otherwise without effect: the caller
// must not use a connection again on which unasked bytes follow.
func (r *Response) Parse(b []byte, verb Verb, lim *Limits) (n int, err error) {
	if !r.started && r.lines.scan == 0 {
		r.lines.reset(1)
	}
	n, err = r.lines.find(b, lim)
	if r.lines.first > 0 {
		return 0, Error{Kind: ErrBadStartLine}
	}
	if len(r.lines.ends) > 0 && (n > 0 || !r.started) {
		r.started = true
		if e := r.parseLine(r.lines.line(b, 0)); e != nil {
			return 0, e
		}
	}
	if n == 0 {
		return 0, err
	}
	if err = r.parseRest(b, verb); err != nil {
		return 0, err
	}
	r.started, r.lines.scan = false, 0
	return n, nil
}

// Reset forgets a half-read head and everything that points into the buffer.
func (r *Response) Reset() {
	clear(r.Fields)
	*r = Response{Fields: r.Fields[:0], lines: r.lines}
	r.lines.reset(1)
}

// parseLine reads the status line (RFC 9112, section 4).
func (r *Response) parseLine(line []byte) error {
	const version, code = len("HTTP/1.1"), len("HTTP/1.1 200")
	if len(line) < code || line[version] != ' ' {
		return Error{Kind: ErrBadStartLine}
	}
	minor, err := parseVersion(line[:version])
	if err != nil {
		return err
	}
	status, ok := parseDecimal(line[version+1 : code])
	if !ok || status < 100 {
		return Error{Kind: ErrBadStatus}
	}
	r.Minor, r.Status, r.Reason = minor, int(status), nil
	if len(line) == code {
		return nil
	}
	if line[code] != ' ' {
		return refuse(line[code], ErrBadStatus)
	}
	r.Reason = line[code+1:]
	if bad := badText(r.Reason); bad >= 0 {
		return refuse(r.Reason[bad], ErrBadStartLine)
	}
	return nil
}

// parseRest reads the fields and draws the conclusions from them.
func (r *Response) parseRest(b []byte, verb Verb) (err error) {
	if r.Fields, err = parseFields(r.Fields[:0], b, &r.lines, &r.has); err != nil {
		return err
	}
	has := &r.has
	if err = has.framing(r.Minor); err != nil {
		return err
	}
	r.Chunked = has.chunked
	r.Upgrade = r.Status == 101
	r.Tunnel = verb == VerbConnect && r.Status/100 == 2
	r.Body, r.Length = r.body(verb)
	r.KeepAlive = has.persistent(r.Minor) && r.Body != BodyUntilClose && has.timeout != 0
	r.KeepAliveTimeout = 0
	if has.timeout > 0 {
		r.KeepAliveTimeout = time.Duration(min(has.timeout, int64(maxKeepAlive/time.Second))) * time.Second
	}
	return nil
}

// body applies the rules of RFC 9112, section 6.3, in their order.
func (r *Response) body(verb Verb) (Body, int64) {
	switch {
	case verb == VerbHead, r.Tunnel, r.Status < 200, r.Status == 204, r.Status == 304:
		return BodyNone, 0
	case r.has.chunked:
		return BodyChunked, 0
	case r.has.length > 0:
		return BodyLength, r.has.length
	case r.has.lengths > 0:
		return BodyNone, 0
	}
	return BodyUntilClose, 0
}
