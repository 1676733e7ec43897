package flow

import (
	"strings"
	"unsafe"

	"github.com/leno-mesh/leno/proxy/http2"
)

// Field is one header field. On its way through a proxy a field may be a view
// of a connection's buffer: it is valid until the message that it belongs to
// has been answered, and is never kept beyond.
type Field = http2.Field

// Version is the HTTP version that the sender spoke.
type Version uint8

// The versions that a message can have.
const (
	HTTP10 Version = iota
	HTTP11
	HTTP20
)

// Form is the form of a request's target (RFC 9112, section 3.2).
type Form uint8

// The forms of a target.
const (
	FormOrigin Form = iota
	FormAbsolute
	FormAuthority
	FormAsterisk
)

// Request is the head of a request as the stages see it. It does not own its
// strings.
type Request struct {
	Method    string
	Target    string // as it was written on the request line
	Path      string // path and query: what routes match
	Authority string // from the target or from Host, "" in HTTP/1.0 without one
	Form      Form
	Version   Version
	// Scheme is that of a request of HTTP/2; "" means http.
	Scheme string
	// Protocol is what extended CONNECT (RFC 8441) asks for, or "".
	Protocol string
	// Fields are the end-to-end fields in their order, Content-Length among
	// them and Host not.
	Fields []Field
	// HostAt is the position among Fields at which Host stood, -1 for none.
	HostAt int
	// HostName is how the name of Host was written; "" means Host.
	HostName string
	// Canonical is true when the names in Fields are lower case and stand for
	// their canonical form (Content-Type), as they come from a link. When it
	// is false the names are as the sender wrote them.
	Canonical bool
	// Length of the body in bytes: 0 is none, -1 is unknown until it ends.
	Length int64
	// Upgrade is the value of the Upgrade field when the connection is to
	// become something else, or "". Such a request, and CONNECT, turn the
	// connection into an opaque one.
	Upgrade string
	// ClientID is the authenticated identity of the caller, which the
	// application is told, or "".
	ClientID string
	// Head is true for a HEAD request, whose answer has no body.
	Head bool
}

// Tunnel says whether the request asks for a stream of HTTP/2 whose directions
// end by themselves, as those of a connection do: CONNECT, extended or not.
func (r *Request) Tunnel() bool {
	return r.Version == HTTP20 && (r.Form == FormAuthority || r.Protocol != "")
}

// GRPC says whether the request is a gRPC call, whose failures are told in
// gRPC's own way. application/grpc-web is another protocol: its status is in the
// body.
func (r *Request) GRPC() bool {
	for i := range r.Fields {
		f := &r.Fields[i]
		if len(f.Name) == len("content-type") && EqualFold(f.Name, "content-type") {
			const want = "application/grpc"
			if !strings.HasPrefix(f.Value, want) {
				return false
			}
			rest := f.Value[len(want):]
			return rest == "" || rest[0] == '+' || rest[0] == ';' || rest[0] == ' '
		}
	}
	return false
}

// Header gives the first value of a field, whose name must be lower case.
func (r *Request) Header(name string) (string, bool) {
	for i := range r.Fields {
		if f := &r.Fields[i]; len(f.Name) == len(name) && EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return "", false
}

// Response is the head of a response. It does not own its strings.
type Response struct {
	Status  int
	Reason  string // the reason phrase, as the sender wrote it
	Version Version
	Fields  []Field
	// Canonical is as in Request.
	Canonical bool
	// Length of the body in bytes: 0 is none, -1 is unknown until it ends.
	Length int64
	// UntilClose is true for a body that ends with its HTTP/1 connection.
	UntilClose bool
	// Switched says that what follows is no HTTP any more: after 101, whose
	// Upgrade field is in Upgrade, and after 2xx to CONNECT.
	Switched bool
	Upgrade  string
	// Extended says that the application takes extended CONNECT (RFC 8441).
	Extended bool
	// Leno is the reason's code when a proxy made this answer.
	Leno string
	// Answer is what the peer's proxy said became of the request, on a link
	// and where that proxy made the answer.
	Answer string
}

// SaysLength says whether a reader of HTTP/1 can tell that this answer, which
// has no body, has none: by its status or by its Content-Length.
func (r *Response) SaysLength() bool {
	if r.Bodiless() {
		return true
	}
	for i := range r.Fields {
		if f := &r.Fields[i]; len(f.Name) == len("content-length") && EqualFold(f.Name, "content-length") {
			return true
		}
	}
	return false
}

// Bodiless says whether an answer of this status never has a body (RFC 9110,
// section 6.4.1). A client of HTTP/1 reads what follows as the next answer.
func (r *Response) Bodiless() bool {
	return r.Status < 200 || r.Status == 204 || r.Status == 304
}

// View gives b as a string without copying. The string is valid as long as b
// is not written to.
func View(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// EqualFold compares s with t, which must be lower case, without regard to
// ASCII case.
func EqualFold(s, t string) bool {
	if len(s) != len(t) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != t[i] {
			return false
		}
	}
	return true
}
