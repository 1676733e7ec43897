// Package proxy is the data plane. This is the life of a request.
//
// A client's connection is accepted by the outbound side of its own proxy
// (accept): redirected traffic brings its original destination, a configured
// upstream has one, and otherwise the HTTP authority names it. The first
// bytes, of whichever side speaks first, tell the protocol.
//
// Each request is matched against the destination's routes (route), an
// endpoint is picked (balance), and the request is put on the link to that
// endpoint's proxy (send), which both sides opened with certificates
// (identify). The inbound side there takes the stream (accept), checks who
// calls and whether they may (identify, route), and hands the request to its
// application (send). The answer goes the same way back.
//
// outbound.go and inbound.go show both loops, per connection and per request.
// The stages are packages below this one that do not import each other. What
// runs is decided by snapshots: destinations.go and own.go take them from the
// subscription, build everything they need, and swap one pointer.
package proxy
