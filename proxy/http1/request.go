package http1

import "bytes"

// Request is the head of a request and the parser that reads it. The zero value
// is ready. All slices are slices of the input; copy what must outlive it.
// Unless Parse returned n > 0, the exported fields mean nothing.
type Request struct {
	Method []byte
	Verb   Verb
	Target []byte // as received
	Form   Form
	Minor  uint8 // HTTP/1.Minor: 0 or 1
	Fields []Field

	Scheme    []byte // "http" or "https" as received, absolute-form only
	Host      []byte // value of Host; nil when absent, empty when empty
	Authority []byte // of the target where it has one, else Host
	Path      []byte // path and query of origin-form and absolute-form, "*" of asterisk-form, nil of authority-form

	Body           Body
	Length         int64 // of a BodyLength body
	KeepAlive      bool  // the client wants the connection to stay
	ExpectContinue bool  // the client waits for 100 (Continue) before the body
	Upgrade        bool  // Connection: upgrade and an Upgrade field, in 1.1
	TETrailers     bool  // TE: trailers

	lines   lines
	has     facts
	started bool // the request line has been judged
}

// Parse reads a request head from the start of b (RFC 9112). It returns the
// length of the head, a tolerated CRLF before it included (section 2.2).
//
// n == 0 without an error means that b does not hold the whole head: call again
// with the same bytes and more behind them; they may have moved. After n > 0
// the next call starts a new head. After an error, which is always an Error,
// Reset must be called before the parser is used again. A nil lim means the
// defaults.
func (r *Request) Parse(b []byte, lim *Limits) (n int, err error) {
	if !r.started && r.lines.scan == 0 {
		r.lines.reset(1)
	}
	n, err = r.lines.find(b, lim)
	// The request line is judged as soon as it is there, so that what is no
	// HTTP is told so without waiting for the end of a head.
	if len(r.lines.ends) > 0 && (n > 0 || !r.started) {
		r.started = true
		if e := r.parseLine(r.lines.line(b, 0)); e != nil {
			return 0, e
		}
	}
	if n == 0 {
		return 0, err
	}
	if err = r.parseRest(b); err != nil {
		return 0, err
	}
	r.started, r.lines.scan = false, 0
	return n, nil
}

// Reset forgets a half-read head and everything that points into the buffer.
func (r *Request) Reset() {
	clear(r.Fields)
	*r = Request{Fields: r.Fields[:0], lines: r.lines}
	r.lines.reset(1)
}

// parseLine reads the request line (RFC 9112, section 3).
func (r *Request) parseLine(line []byte) error {
	i := 0
	for i < len(line) && tokenSet[line[i]] {
		i++
	}
	switch {
	case i == len(line):
		return Error{Kind: ErrBadStartLine}
	case i == 0 || line[i] != ' ':
		return refuse(line[i], ErrBadMethod)
	}
	r.Method, r.Verb = line[:i], VerbOf(line[:i])
	rest := line[i+1:]
	for i = 0; i < len(rest) && targetSet[rest[i]]; i++ {
	}
	switch {
	case i == len(rest): // a request of HTTP/0.9
		return Error{Kind: ErrBadVersion}
	case i == 0 || rest[i] != ' ':
		return refuse(rest[i], ErrBadTarget)
	}
	r.Target = rest[:i]
	version := rest[i+1:]
	if bytes.IndexByte(version, ' ') >= 0 {
		return Error{Kind: ErrBadTarget}
	}
	minor, err := parseVersion(version)
	if err != nil {
		return err
	}
	r.Minor = minor
	return r.parseTarget()
}

// parseRest reads the fields and draws the conclusions from them.
func (r *Request) parseRest(b []byte) (err error) {
	if r.Fields, err = parseFields(r.Fields[:0], b, &r.lines, &r.has); err != nil {
		return err
	}
	has := &r.has
	if err = has.framing(r.Minor); err != nil {
		return err
	}
	if err = r.checkHost(); err != nil {
		return err
	}
	r.Body, r.Length = BodyNone, 0
	switch {
	case has.chunked:
		r.Body = BodyChunked
	case has.length > 0:
		r.Body, r.Length = BodyLength, has.length
	}
	// What follows a CONNECT head is the tunnel (RFC 9110, section 9.3.6).
	if r.Verb == VerbConnect && r.Body != BodyNone {
		return Error{Kind: ErrConnectBody}
	}
	r.KeepAlive = has.persistent(r.Minor)
	r.ExpectContinue = has.expect && r.Minor > 0
	r.Upgrade = has.upgrade && has.upgradeOption && r.Minor > 0
	r.TETrailers = has.trailers
	return nil
}

// checkHost reads Host and holds it against the target (RFC 9112, section 3.2).
func (r *Request) checkHost() error {
	r.Host = nil
	if r.has.hosts == 0 {
		if r.Minor > 0 {
			return Error{Kind: ErrMissingHost}
		}
	} else {
		r.Host = Find(r.Fields, KindHost)
		if len(r.Host) > 0 && !ValidAuthority(r.Host) {
			return Error{Kind: ErrBadHost}
		}
	}
	if r.Form != FormAbsolute && r.Form != FormAuthority {
		r.Authority = r.Host
		return nil
	}
	if r.Host != nil && !r.sameAuthority() {
		return Error{Kind: ErrHostMismatch}
	}
	return nil
}
