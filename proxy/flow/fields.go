package flow

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/leno-mesh/leno/proxy/http1"
	"github.com/leno-mesh/leno/proxy/http2"
)

// Message builds the fields of one message on a link, and reads them. It is
// kept with a connection so that a message costs no allocation.
type Message struct {
	fields []Field
	form   []byte
}

// Request gives the fields of a request on a link, for a stream that goes
// where. They are valid until the next call. Authority is used when the request
// has none.
func (m *Message) Request(r *Request, where, authority string) []Field {
	out := appendPseudo(m.fields[:0], r, authority)
	out = append(out, Field{Name: FieldLink, Value: where})
	f := form{version: r.Version, target: r.Form, hostAt: r.HostAt, host: r.HostName}
	if r.Form == FormAbsolute {
		f.spell(r.Target)
	}
	out = m.appendForm(out, f, r.Fields, r.Canonical)
	m.fields = append(out, r.Fields...)
	return m.fields
}

// PlainRequest gives the fields of a request for an application that speaks
// HTTP/2 itself.
func (m *Message) PlainRequest(r *Request, authority string) []Field {
	out := append(appendPseudo(m.fields[:0], r, authority), r.Fields...)
	if r.ClientID != "" {
		out = append(out, Field{Name: FieldClientID, Value: r.ClientID})
	}
	m.fields = out
	return out
}

// appendPseudo adds the pseudo-header fields (RFC 9113, section 8.3.1; RFC 8441,
// section 4).
func appendPseudo(out []Field, r *Request, authority string) []Field {
	if r.Authority != "" {
		authority = r.Authority
	}
	out = append(out, Field{Name: ":method", Value: r.Method})
	if r.Version == HTTP20 && r.Form == FormAuthority {
		return append(out, Field{Name: ":authority", Value: authority})
	}
	scheme, path := r.Scheme, r.Path
	if scheme == "" {
		scheme = "http"
	}
	if path == "" {
		path = "/"
	}
	if r.Protocol != "" {
		out = append(out, Field{Name: ":protocol", Value: r.Protocol})
	}
	return append(out,
		Field{Name: ":scheme", Value: scheme},
		Field{Name: ":authority", Value: authority},
		Field{Name: ":path", Value: path})
}

// Connect gives the fields that open an opaque stream.
func (m *Message) Connect(where, authority string) []Field {
	m.fields = append(m.fields[:0],
		Field{Name: ":method", Value: "CONNECT"},
		Field{Name: ":authority", Value: authority},
		Field{Name: FieldLink, Value: where})
	return m.fields
}

// Response gives the fields of a response head on a link.
func (m *Message) Response(r *Response) []Field {
	out := append(m.fields[:0], Field{Name: ":status", Value: statusText(r.Status)})
	if r.Leno != "" {
		out = append(out, Field{Name: FieldAnswer, Value: answerFor(r.Leno)}, Field{Name: FieldReason, Value: r.Leno})
	}
	f := form{version: r.Version, connect: r.Extended}
	if r.Reason != usualReason(r.Status) && r.Version != HTTP20 {
		f.reason, f.hasText = r.Reason, true
	}
	out = m.appendForm(out, f, r.Fields, r.Canonical)
	m.fields = append(out, r.Fields...)
	return m.fields
}

// PlainResponse gives the fields of a response head for a client that speaks
// HTTP/2 itself.
func (m *Message) PlainResponse(r *Response) []Field {
	out := append(m.fields[:0], Field{Name: ":status", Value: statusText(r.Status)})
	out = append(out, r.Fields...)
	if r.Leno != "" {
		out = append(out, Field{Name: FieldReason, Value: r.Leno})
	}
	m.fields = out
	return out
}

// PlainTrailers checks trailers for an application that speaks HTTP/2 itself,
// and takes Leno's own out. It changes fields.
func PlainTrailers(fields []Field) ([]Field, error) { return plainTrailers(fields, "") }

// ClientTrailers is PlainTrailers for a client, who may learn the reason for
// which a proxy ended its call.
func ClientTrailers(fields []Field) ([]Field, error) { return plainTrailers(fields, FieldReason) }

func plainTrailers(fields []Field, keep string) ([]Field, error) {
	out := fields[:0]
	for i := range fields {
		f := &fields[i]
		switch kind := http1.KindOf(f.Name); {
		case kind == http1.KindLeno && f.Name == keep && http1.ValidText(f.Value):
			out = append(out, *f)
		case kind == http1.KindLeno:
		case !kind.Trailer() || !http1.ValidToken(f.Name) || !http1.ValidText(f.Value):
			return nil, ErrTrailer
		default:
			out = append(out, *f)
		}
	}
	return out, nil
}

func answerFor(code string) string {
	switch code {
	case Denied.String():
		return AnswerDenied
	case WrongWorkload.String():
		return AnswerWrongWorkload
	case AppReset.String(), AppBadResponse.String(), PeerReset.String(), Timeout.String(), ClientGone.String():
		return AnswerFailed // the application may have seen it
	}
	return AnswerRefused
}

func (m *Message) appendForm(out []Field, f form, fields []Field, canonical bool) []Field {
	m.form = appendForm(m.form[:0], f, fields, canonical)
	if len(m.form) > 0 {
		out = append(out, Field{Name: FieldForm, Value: View(m.form)})
	}
	return out
}

// ours says whether a lower-case name is Leno's own. An underscore counts as
// the dash that some applications take it for.
func ours(name string) bool {
	return strings.HasPrefix(name, "leno-") || strings.HasPrefix(name, "leno_")
}

// WithoutOurs gives the trailers of an application, which may say nothing that
// only Leno says.
func WithoutOurs(trailers []Field) []Field {
	is := func(f Field) bool { return ours(f.Name) }
	if !slices.ContainsFunc(trailers, is) {
		return trailers
	}
	return slices.DeleteFunc(slices.Clone(trailers), is)
}

var (
	errNoWhere = errors.New("stream without leno-link")
	// Two readers could take one or the other.
	errTwice   = errors.New("a field of Leno's own came twice")
	errEndless = errors.New("a request of HTTP/1.0 with a body and no length")
)

// FromFields fills in a request from the fields of a stream of a link, and
// gives its leno-link value. With end set the request has no body. Fields is
// used in place.
func (r *Request) FromFields(fields []Field, end bool) (where string, err error) {
	var f form
	if where, f, err = r.take(fields); err != nil {
		return "", err
	}
	if where == "" {
		return "", errNoWhere
	}
	if f.version == HTTP20 {
		f = r.plainForm()
	}
	return where, r.shape(f, end)
}

// FromPlain fills in a request from the fields of a stream of a client that
// speaks HTTP/2 itself. With end set the request has no body. Fields is used in
// place.
func (r *Request) FromPlain(fields []Field, end bool) error {
	if _, _, err := r.take(fields); err != nil {
		return err
	}
	return r.shape(r.plainForm(), end)
}

// plainForm is what HTTP/2 says by itself.
func (r *Request) plainForm() form {
	f := form{version: HTTP20, names: namesLower}
	switch {
	case r.Method == "CONNECT" && r.Protocol == "":
		f.target = FormAuthority
	case r.Path == "*":
		f.target = FormAsterisk
	}
	return f
}

// take checks and sorts the fields of a request. Leno's own stay behind.
func (r *Request) take(fields []Field) (where string, f form, err error) {
	if err := http2.ValidateRequest(fields); err != nil {
		return "", f, err
	}
	*r = Request{Fields: r.Fields[:0], Length: -1}
	f = defaultForm()
	for i := range fields {
		switch v := &fields[i]; {
		case v.Name[0] == ':':
			r.takePseudo(v)
		case v.Name == FieldLink && where == "":
			where = v.Value
		case v.Name == FieldForm && !f.said:
			f = parseForm(v.Value)
		case v.Name == FieldLink, v.Name == FieldForm:
			return "", f, errTwice
		case ours(v.Name):
		case v.Name == "host": // told by :authority and the form
			if r.Authority == "" {
				r.Authority = v.Value
			}
		default:
			if v.Name == "content-length" {
				r.Length, _ = strconv.ParseInt(v.Value, 10, 64)
			}
			r.Fields = append(r.Fields, *v)
		}
	}
	r.Head = r.Method == "HEAD"
	return where, f, nil
}

func (r *Request) takePseudo(f *Field) {
	switch f.Name {
	case ":method":
		r.Method = f.Value
	case ":authority":
		r.Authority = f.Value
	case ":path":
		r.Path = f.Value
	case ":scheme":
		if f.Value != "http" {
			r.Scheme = f.Value
		}
	case ":protocol":
		r.Protocol = f.Value
	}
}

// bound settles the length of the body.
func (r *Request) bound(v Version, end bool) error {
	switch {
	case end && r.Length > 0:
		return ErrLength // the next request would be read as its body
	case end:
		r.Length = 0
	case v == HTTP10 && r.Length < 0:
		return errEndless // it knows no chunks, and its server would not see the end
	case v == HTTP20 && r.Length == 0:
		r.Length = -1 // the end is still to come, and trailers may
	}
	return nil
}

// shape restores what the sender wrote.
func (r *Request) shape(f form, end bool) error {
	if err := r.bound(f.version, end); err != nil {
		return err
	}
	r.Version, r.Form, r.HostAt, r.HostName = f.version, f.target, f.hostAt, f.host
	r.Canonical = applyNames(f.names, r.Fields)
	switch {
	case f.target == FormAbsolute:
		r.Target = f.absolute(r.Authority, r.Path)
	case f.target == FormAuthority:
		r.Target = r.Authority
	default:
		r.Target = r.Path
	}
	return nil
}

// FromFields fills in a response from the fields of a stream of a link. With
// end set it has no body. Fields is used in place.
func (r *Response) FromFields(fields []Field, end bool) error {
	f, err := r.take(fields, true)
	if err != nil {
		return err
	}
	r.shape(f, end)
	return nil
}

// FromPlain fills in a response from the fields of a stream of an application
// that speaks HTTP/2 itself. With end set it has no body. Fields is used in
// place.
func (r *Response) FromPlain(fields []Field, end bool) error {
	if _, err := r.take(fields, false); err != nil {
		return err
	}
	r.shape(form{version: HTTP20, names: namesLower}, end)
	return nil
}

// take checks and sorts the fields of a response. What is Leno's own says
// something only when it came on a link.
func (r *Response) take(fields []Field, link bool) (f form, err error) {
	if err := http2.ValidateResponse(fields); err != nil {
		return f, err
	}
	*r = Response{Fields: r.Fields[:0], Length: -1}
	f = defaultForm()
	for i := range fields {
		switch v := &fields[i]; {
		case v.Name == ":status":
			r.Status, _ = strconv.Atoi(v.Value)
		case link && v.Name == FieldReason && r.Leno == "":
			r.Leno = v.Value
		case link && v.Name == FieldAnswer && r.Answer == "":
			r.Answer = v.Value
		case link && v.Name == FieldForm && !f.said:
			f = parseForm(v.Value)
		case link && (v.Name == FieldReason || v.Name == FieldAnswer || v.Name == FieldForm):
			return f, errTwice
		case v.Name[0] == ':' || ours(v.Name):
		default:
			if v.Name == "content-length" {
				r.Length, _ = strconv.ParseInt(v.Value, 10, 64)
			}
			r.Fields = append(r.Fields, *v)
		}
	}
	return f, nil
}

// shape restores what the sender wrote.
func (r *Response) shape(f form, end bool) {
	switch {
	case end:
		r.Length = 0
	case f.version == HTTP20 && r.Length == 0:
		r.Length = -1 // the end is still to come, and trailers may
	}
	r.Version, r.Extended = f.version, f.connect
	r.Canonical = applyNames(f.names, r.Fields)
	r.Reason = f.reason
	if !f.hasText {
		r.Reason = usualReason(r.Status)
	}
}

// statusText gives three digits without an allocation for the usual range.
func statusText(status int) string {
	if status >= 100 && status < 600 {
		return statusDigits[(status-100)*3:][:3]
	}
	return strconv.Itoa(status)
}

var statusDigits = func() string { //nolint:gochecknoglobals // immutable
	var b []byte
	for s := 100; s < 600; s++ {
		b = strconv.AppendInt(b, int64(s), 10)
	}
	return string(b)
}()
