package flow

import (
	"errors"
	"strconv"
	"strings"

	"github.com/leno-mesh/leno/proxy/http2"
)

// Message builds the fields of one message on a link, and reads them. It is
// kept with a connection so that a message costs no allocation.
type Message struct {
	fields []Field
	form   []byte
}

// Request gives the fields of a request, for a stream that goes where. They
// are valid until the next call. Authority is used when the request has none.
func (m *Message) Request(r *Request, where, authority string) []Field {
	out := m.fields[:0]
	if r.Authority != "" {
		authority = r.Authority
	}
	path := r.Path
	if path == "" {
		path = "/"
	}
	out = append(out,
		Field{Name: ":method", Value: r.Method},
		Field{Name: ":scheme", Value: "http"},
		Field{Name: ":authority", Value: authority},
		Field{Name: ":path", Value: path},
		Field{Name: FieldLink, Value: where})
	f := form{version: r.Version, target: r.Form, hostAt: r.HostAt}
	out = m.appendForm(out, f, r.Fields, r.Canonical)
	m.fields = append(out, r.Fields...)
	return m.fields
}

// Connect gives the fields that open an opaque stream.
func (m *Message) Connect(where, authority string) []Field {
	m.fields = append(m.fields[:0],
		Field{Name: ":method", Value: "CONNECT"},
		Field{Name: ":authority", Value: authority},
		Field{Name: FieldLink, Value: where})
	return m.fields
}

// Response gives the fields of a response head.
func (m *Message) Response(r *Response) []Field {
	out := append(m.fields[:0], Field{Name: ":status", Value: statusText(r.Status)})
	if r.Leno != "" {
		out = append(out, Field{Name: FieldAnswer, Value: answerFor(r.Leno)}, Field{Name: FieldReason, Value: r.Leno})
	}
	f := form{version: r.Version}
	if r.Reason != usualReason(r.Status) {
		f.reason, f.hasText = r.Reason, true
	}
	out = m.appendForm(out, f, r.Fields, r.Canonical)
	m.fields = append(out, r.Fields...)
	return m.fields
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

var errNoWhere = errors.New("stream without leno-link")

// FromFields fills in a request from the validated fields of a stream, and
// gives its leno-link value. With end set the request has no body. Fields is
// used in place.
func (r *Request) FromFields(fields []Field, end bool) (where string, err error) {
	if err := http2.ValidateRequest(fields); err != nil {
		return "", err
	}
	*r = Request{Fields: r.Fields[:0], Length: -1}
	f := defaultForm()
	for i := range fields {
		switch v := &fields[i]; {
		case v.Name == ":method":
			r.Method = v.Value
		case v.Name == ":authority":
			r.Authority = v.Value
		case v.Name == ":path":
			r.Path = v.Value
		case v.Name == FieldLink:
			where = v.Value
		case v.Name == FieldForm:
			f = parseForm(v.Value)
		case v.Name[0] == ':' || ours(v.Name):
		case v.Name == "host": // told by :authority and the form
		default:
			if v.Name == "content-length" {
				r.Length, _ = strconv.ParseInt(v.Value, 10, 64)
			}
			r.Fields = append(r.Fields, *v)
		}
	}
	if where == "" {
		return "", errNoWhere
	}
	if end {
		if r.Length > 0 {
			return "", ErrLength // the next request would be read as its body
		}
		r.Length = 0
	}
	r.Head = r.Method == "HEAD"
	r.shape(f)
	return where, nil
}

// shape restores the HTTP/1 form of the request.
func (r *Request) shape(f form) {
	r.Version, r.Form, r.HostAt = f.version, f.target, f.hostAt
	r.Canonical = applyNames(f.names, r.Fields)
	switch {
	case f.target == FormAbsolute:
		r.Target = "http://" + r.Authority + r.Path
	case f.target == FormAuthority:
		r.Target = r.Authority
	default:
		r.Target = r.Path
	}
}

// FromFields fills in a response from the fields of a stream. With end set it
// has no body. Fields is used in place.
func (r *Response) FromFields(fields []Field, end bool) error {
	if err := http2.ValidateResponse(fields); err != nil {
		return err
	}
	*r = Response{Fields: r.Fields[:0], Length: -1}
	f := defaultForm()
	for i := range fields {
		switch v := &fields[i]; {
		case v.Name == ":status":
			r.Status, _ = strconv.Atoi(v.Value)
		case v.Name == FieldReason:
			r.Leno = v.Value
		case v.Name == FieldAnswer:
			r.Answer = v.Value
		case v.Name == FieldForm:
			f = parseForm(v.Value)
		case v.Name[0] == ':' || ours(v.Name):
		default:
			if v.Name == "content-length" {
				r.Length, _ = strconv.ParseInt(v.Value, 10, 64)
			}
			r.Fields = append(r.Fields, *v)
		}
	}
	if end {
		r.Length = 0
	}
	r.Version = f.version
	r.Canonical = applyNames(f.names, r.Fields)
	r.Reason = f.reason
	if !f.hasText {
		r.Reason = usualReason(r.Status)
	}
	return nil
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
