package flow

import (
	"errors"
	"fmt"

	"github.com/leno-mesh/leno/proxy/http2"
)

// Stage is a step of a request's way.
type Stage uint8

// The stages in the order in which a request meets them.
const (
	StageAccept Stage = iota
	StageIdentify
	StageRoute
	StageBalance
	StageSend
)

// String gives the stage's name, as in the metrics.
func (s Stage) String() string {
	return [...]string{"accept", "identify", "route", "balance", "send"}[s%5]
}

// Reason says why Leno failed or denied something. The list is closed: every
// reason is in the table below and in docs/reasons.md.
type Reason uint8

// The reasons. ReasonNone is not a failure.
const (
	ReasonNone Reason = iota
	BadRequest
	HeaderTooLarge
	TargetTooLong
	VersionNotSupported
	NotImplemented
	SlowRequest
	Loop
	ForeignUser
	UnknownDestination
	DiscoveryTimeout
	NoRoute
	NoBackend
	NoEndpoints
	ConnectFailed
	ConnectTimeout
	NoCertificate
	PeerCertificate
	WrongIdentity
	WrongWorkload
	Denied
	PortNotServed
	Overloaded
	Draining
	Timeout
	PeerReset
	BadResponse
	AppRefused
	AppTimeout
	AppReset
	AppBadResponse
	ClientGone
	reasonCount
)

// Row is everything that follows from a reason: one table maps a kind of
// failure to what the caller sees.
type Row struct {
	Code   string // in leno-reason, the metrics and the log
	Stage  Stage
	Status int // HTTP status of an answer that Leno makes
	GRPC   int // gRPC status of such an answer
	What   string
	Next   string // what the reader should do
}

var rows = [reasonCount]Row{ //nolint:gochecknoglobals // the one table; never written
	ReasonNone:          {Code: ""},
	BadRequest:          {"bad-request", StageAccept, 400, 13, "the request is malformed or ambiguous, and Leno does not repair it", "mend the client; the proxy's log names the fault"},
	HeaderTooLarge:      {"header-too-large", StageAccept, 431, 8, "the head of the request is over the limit", "send smaller or fewer header fields"},
	TargetTooLong:       {"target-too-long", StageAccept, 414, 13, "the request line is over the limit", "send a shorter path or query"},
	VersionNotSupported: {"version-not-supported", StageAccept, 505, 12, "the HTTP version is not one that Leno speaks", "use HTTP/1.0, HTTP/1.1 or HTTP/2"},
	NotImplemented:      {"not-implemented", StageAccept, 501, 12, "the request needs a transfer coding that Leno does not know, or extended CONNECT of an application that does not take it", "send the body with a length or chunked; for WebSocket use Upgrade of HTTP/1.1"},
	SlowRequest:         {"slow-request", StageAccept, 408, 4, "the request did not arrive in time", "look for a stalled client or network"},
	Loop:                {"loop", StageAccept, 508, 13, "the request came back to the proxy that sent it, or asks for a proxy's own port", "call the service's port, not 4140, 4143 or 4191"},
	ForeignUser:         {"foreign-user", StageAccept, 403, 7, "the client's socket belongs to a user who may not use this workload's identity", "run the client as the workload's user, or name its user with --client-user"},
	UnknownDestination:  {"unknown-destination", StageRoute, 502, 14, "no service or workload of the mesh has this name or address, and it may not be called in plain text", "compare with `leno endpoints NAME`; check the name, the namespace and the registration"},
	DiscoveryTimeout:    {"discovery-timeout", StageRoute, 503, 14, "the control plane has not answered yet what this destination is", "run `leno check`; is the control plane running and reachable?"},
	NoRoute:             {"no-route", StageRoute, 404, 12, "no rule of the service's HTTPRoutes matches the request", "add a rule, or a rule without matches as the last one"},
	NoBackend:           {"no-backend", StageRoute, 500, 14, "the matching rule has no usable backend", "check the backendRefs and weights of the HTTPRoute"},
	NoEndpoints:         {"no-endpoints", StageBalance, 503, 14, "the service has no instance that takes requests", "start or register an instance; see `leno endpoints NAME`"},
	ConnectFailed:       {"connect-failed", StageSend, 502, 14, "no instance could be connected to", "is the instance and its proxy running? see `leno proxies`"},
	ConnectTimeout:      {"connect-timeout", StageSend, 504, 14, "connecting to the instance took too long", "look at the network between the two hosts and at firewalls for the proxy's port"},
	NoCertificate:       {"no-certificate", StageIdentify, 503, 14, "this proxy holds no valid certificate, so it opens no link", "run `leno check`; renewal needs the control plane"},
	PeerCertificate:     {"peer-certificate", StageIdentify, 502, 14, "the peer's certificate is expired, malformed or of another authority", "see `leno identity` for both workloads; compare clocks"},
	WrongIdentity:       {"wrong-identity", StageIdentify, 502, 14, "the peer proved another identity than the one that the control plane names", "an address was reused, or something else listens there; see `leno endpoints NAME`"},
	WrongWorkload:       {"wrong-workload", StageIdentify, 502, 14, "the peer is another workload than the one asked for", "an address was reused; it heals with the next endpoint update"},
	Denied:              {"denied", StageRoute, 403, 7, "an AccessPolicy does not allow this caller on this port", "add the caller's identity to the policy; `leno identity` shows it"},
	PortNotServed:       {"port-not-served", StageRoute, 502, 14, "the workload did not register this port", "register it with --service NAME:PORT"},
	Overloaded:          {"overloaded", StageAccept, 503, 14, "a limit of this proxy is reached, so new work is shed", "add instances, or raise the limit that the proxy's log names"},
	Draining:            {"draining", StageAccept, 503, 14, "the proxy is shutting down and takes nothing new", "nothing: another instance takes the request when there is one"},
	Timeout:             {"timeout", StageSend, 504, 4, "the request took longer than its route allows", "make the service faster, or raise timeouts.request in the HTTPRoute"},
	PeerReset:           {"peer-reset", StageSend, 502, 14, "the peer ended the request after it had been handed over", "look at the log of the service and its proxy at this time"},
	BadResponse:         {"bad-response", StageSend, 502, 13, "the peer's answer is malformed", "check that both proxies are within two releases of each other"},
	AppRefused:          {"app-refused", StageSend, 502, 14, "the application does not listen on its port", "is it running, and on the registered address and port?"},
	AppTimeout:          {"app-timeout", StageSend, 504, 14, "the application did not accept the connection in time", "is it overloaded or stopped?"},
	AppReset:            {"app-reset", StageSend, 502, 14, "the application closed the connection before it had answered", "look at the application's log"},
	AppBadResponse:      {"app-bad-response", StageSend, 502, 13, "the application's answer is malformed, and Leno does not repair it", "mend the application; the proxy's log names the fault"},
	ClientGone:          {"client-gone", StageAccept, 499, 1, "the client went away before the answer was complete", "nothing, unless clients have time-outs that are too short"},
}

// Row gives the reason's line of the table.
func (r Reason) Row() Row { return rows[r%reasonCount] }

// String gives the reason's code.
func (r Reason) String() string { return r.Row().Code }

// Reasons lists every reason that has a row, for documents and tests.
func Reasons() []Reason {
	all := make([]Reason, 0, reasonCount-1)
	for r := ReasonNone + 1; r < reasonCount; r++ {
		all = append(all, r)
	}
	return all
}

// ParseReason finds a reason by its code. A code of a newer release that this
// one does not know gives PeerReset.
func ParseReason(code string) Reason {
	for r := ReasonNone + 1; r < reasonCount; r++ {
		if rows[r].Code == code {
			return r
		}
	}
	return PeerReset
}

// Error is a failure on the request's way.
type Error struct {
	Reason Reason
	// NotHanded is true when the application surely did not see the request,
	// so that it may go to another endpoint whatever its method.
	NotHanded bool
	// Remote is true when the peer's proxy said so, not this one.
	Remote bool
	// Code is that of the RST_STREAM with which the other end ended the message,
	// 0 where none came. Where both sides speak HTTP/2 it is carried on.
	Code http2.ErrCode
	Err  error // the cause, or nil
}

// Fail makes an Error of a reason and its cause.
func Fail(r Reason, cause error) *Error { return &Error{Reason: r, Err: cause} }

// NotHanded makes an Error for a request that the application did not see.
func NotHanded(r Reason, cause error) *Error {
	return &Error{Reason: r, NotHanded: true, Err: cause}
}

// Error gives the reason's code with its cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Reason.String()
	}
	return fmt.Sprintf("%s: %v", e.Reason, e.Err)
}

// Unwrap gives the cause.
func (e *Error) Unwrap() error { return e.Err }

// AsError finds the Error in err; anything else becomes one with the given
// reason.
func AsError(err error, otherwise Reason) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return Fail(otherwise, err)
}
