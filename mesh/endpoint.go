package mesh

import "net/netip"

// Protocol is what a port is known to speak. Detect, the zero value, means:
// nobody said, look at the bytes.
type Protocol uint8

// The protocols that a hint can name.
const (
	Detect Protocol = iota
	HTTP1
	HTTP2
	GRPC
	Opaque
)

// String gives the word that people write for the protocol.
func (p Protocol) String() string {
	switch p {
	case HTTP1:
		return "http"
	case HTTP2:
		return "http2"
	case GRPC:
		return "grpc"
	case Opaque:
		return "tcp"
	default:
		return "detect"
	}
}

// EndpointState says how much an endpoint is to be trusted with new requests.
type EndpointState uint8

const (
	// Ready takes requests.
	Ready EndpointState = iota
	// Doubtful has not renewed its lease. It is used when nothing better is
	// there: mass expiry never empties a set.
	Doubtful
	// Draining serves what it has and gets nothing new.
	Draining
	// Starting has an application that does not listen yet: it is waited for,
	// and used when nothing better comes.
	Starting
)

// String gives the word for the state.
func (s EndpointState) String() string {
	return [...]string{"ready", "doubtful", "draining", "starting"}[s%4]
}

// Endpoint is one place where a service can be reached.
type Endpoint struct {
	// Addr is where the application is reached, as a client sees it. Its port
	// is the target port on the link.
	Addr netip.AddrPort
	// Proxy is the inbound listener of the workload's proxy. It is the zero
	// value when the workload is not meshed.
	Proxy netip.AddrPort
	// Identity is what the proxy must prove. Empty when not meshed.
	Identity Identity
	// Workload is what the proxy must say it is. Empty when not meshed.
	Workload WorkloadID
	// Name is how people call the instance: a pod name, a registration name.
	Name string
	// Zone is where it runs, or "".
	Zone string
	// State says whether it takes new requests.
	State EndpointState
	// Near are the places whose callers the endpoint is meant for, as words
	// with a space between: "zone/a node/n1". Empty: callers everywhere.
	Near string
	// Only says that callers on other nodes must not use it. Without it Near is a
	// preference, see [Nearest].
	Only bool
}

// Meshed says whether the endpoint has a proxy, so that calls to it must go
// over a link and never in plain text.
func (e Endpoint) Meshed() bool { return e.Identity != "" }

// EndpointSet is all endpoints of one port of one service.
type EndpointSet struct {
	Service   ServiceName
	Port      uint16 // the service's port, not the target port
	Endpoints []Endpoint
}
