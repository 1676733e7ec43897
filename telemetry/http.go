package telemetry

import (
	"strconv"
	"sync/atomic"
	"time"
)

// Names of the metrics of an edge.
const (
	requestTotal    = "request_total"
	responseTotal   = "response_total"
	responseLatency = "response_latency_ms"
	failuresTotal   = "leno_failures_total"
	tcpOpenTotal    = "tcp_open_total"
	tcpCloseTotal   = "tcp_close_total"
	tcpOpen         = "tcp_open_connections"
	tlsOpenTotal    = "leno_tls_open_total"
	tcpReadBytes    = "tcp_read_bytes_total"
	tcpWriteBytes   = "tcp_write_bytes_total"
)

func edgeFamilies() []*family {
	return []*family{
		{name: requestTotal, help: "Requests."},
		{name: responseTotal, help: "Responses, by classification and status."},
		{name: responseLatency, help: "Time from a request's head to the first byte of its response, in milliseconds.", kind: histogramKind},
		{name: failuresTotal, help: "What Leno itself failed or denied, by reason code."},
		{name: tcpOpenTotal, help: "Connections opened."},
		{name: tcpCloseTotal, help: "Connections closed; one that Leno closed has a reason."},
		{name: tlsOpenTotal, help: "Connections opened that carry TLS of the application's own, by the name asked for (SNI)."},
		{name: tcpOpen, help: "Connections open now.", kind: gaugeKind},
		{name: tcpReadBytes, help: "Bytes read from the client."},
		{name: tcpWriteBytes, help: "Bytes written to the client."},
		{name: httpAllow, help: "HTTP requests that a policy allowed."},
		{name: httpDeny, help: "HTTP requests that a policy denied."},
		{name: tcpAllow, help: "Connections that a policy allowed."},
		{name: tcpDeny, help: "Connections that a policy denied."},
		{name: auditDeny, help: "Requests and connections that a policy in audit mode would have denied."},
	}
}

// HTTP counts the requests of one edge. Its methods but Release are for the
// hot path: they take no lock and do not allocate, except once per status or
// reason never seen before on the edge.
type HTTP struct {
	members
	edge      Edge
	requests  atomic.Uint64
	latency   histogram
	responses cells[responseKey]
	failures  failures
}

// responseKey is a response's status as one comparable word. A status of 0 is
// one outside of 100 to 599, or one too many on this edge.
type responseKey uint32

func newResponseKey(status, grpcStatus int, ok bool) responseKey {
	if status < 100 || status > 599 {
		status = 0
	}
	if grpcStatus < -1 || grpcStatus > 16 {
		grpcStatus = 2 // UNKNOWN is what gRPC makes of a code it does not know
	}
	k := responseKey(status)<<8 | responseKey(grpcStatus+1)<<1
	if ok {
		k |= 1
	}
	return k
}

func (k responseKey) labels() []Label {
	class := "failure"
	if k&1 == 1 {
		class = "success"
	}
	status := folded
	if s := int(k >> 8); s != 0 {
		status = strconv.Itoa(s)
	}
	out := []Label{{"classification", class}, {"status_code", status}}
	if g := int(k>>1)&0x7f - 1; g >= 0 {
		out = append(out, Label{"grpc_status_code", strconv.Itoa(g)})
	}
	return out
}

// HTTP gives the counters of an edge, the same ones each time. Who asked for
// them keeps them, and may call Release when the edge is of no more use.
func (r *Registry) HTTP(e Edge) *HTTP {
	r.mu.Lock()
	defer r.mu.Unlock()
	if h := r.http[e]; h != nil {
		h.take(h)
		return h
	}
	if !e.isOther() && !r.room(3) {
		r.full.Add(1)
		e = otherEdge(e.Direction)
	}
	h := r.http[e]
	if h == nil {
		h = &HTTP{edge: e, members: members{reg: r, set: r.labelSet(e.labels()), pinned: e.isOther()}}
		h.failures.members = &h.members
		h.member(requestTotal, series{count: &h.requests})
		h.member(responseLatency, series{hist: &h.latency})
		r.http[e] = h
	}
	h.take(h)
	return h
}

// Request counts a request when its head is complete.
func (h *HTTP) Request() { h.requests.Add(1) }

// Response counts a response when it has ended. Latency is the time to its
// first byte; grpcStatus is -1 when it is not gRPC; ok says how the response
// is classified.
func (h *HTTP) Response(status, grpcStatus int, ok bool, latency time.Duration) {
	key := newResponseKey(status, grpcStatus, ok)
	n := h.responses.find(key)
	if n == nil {
		n = h.newResponse(key)
	}
	n.Add(1)
	h.latency.observe(latency)
}

func (h *HTTP) newResponse(key responseKey) *atomic.Uint64 {
	h.reg.mu.Lock()
	defer h.reg.mu.Unlock()
	if h.responses.len() >= maxCells || !h.reg.room(1) {
		key &= 1 // only the classification is left
	}
	if n := h.responses.find(key); n != nil {
		return n
	}
	n := h.responses.add(key)
	h.member(responseTotal, series{extra: key.labels(), count: n})
	return n
}

// Failed counts a request that Leno itself failed or denied, by its reason
// code.
func (h *HTTP) Failed(reason string) { h.failures.count(reason) }

// Release says that the caller counts nothing more here.
func (h *HTTP) Release() { h.release(h) }

func (h *HTTP) retire(r *Registry) {
	delete(r.http, h.edge)
	h.end()
}

// failures counts by reason code.
type failures struct {
	*members
	cells cells[string]
}

func (f *failures) count(reason string) {
	n := f.cells.find(reason)
	if n == nil {
		n = f.add(reason)
	}
	n.Add(1)
}

func (f *failures) add(reason string) *atomic.Uint64 {
	f.reg.mu.Lock()
	defer f.reg.mu.Unlock()
	if f.cells.len() >= maxCells {
		reason = folded
	}
	if n := f.cells.find(reason); n != nil {
		return n
	}
	n := f.cells.add(reason)
	var labels []Label
	if stage := f.reg.cfg.Stage(reason); stage != "" {
		labels = append(labels, Label{"stage", stage})
	}
	f.member(failuresTotal, series{extra: append(labels, Label{"reason", clean(reason)}), count: n})
	return n
}

// Failed counts a failure that belongs to no edge, such as a malformed head.
func (r *Registry) Failed(d Direction, reason string) {
	r.mu.Lock()
	f := r.failures[d]
	if f == nil {
		f = &failures{members: &members{reg: r, set: r.labelSet([]Label{{"direction", d.String()}}), pinned: true}}
		r.failures[d] = f
	}
	r.mu.Unlock()
	f.count(reason)
}
