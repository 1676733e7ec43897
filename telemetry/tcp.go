package telemetry

import "sync/atomic"

// TCP counts the connections of one edge: opaque ones, and the client's
// connections that carry HTTP. As with HTTP, counting takes no lock.
type TCP struct {
	members
	edge     Edge
	opened   atomic.Uint64
	read     atomic.Uint64
	written  atomic.Uint64
	closed   cells[string]
	names    cells[string] // of the application's own TLS
	failures failures
}

// TCP gives the connection counters of an edge, the same ones each time.
func (r *Registry) TCP(e Edge) *TCP {
	r.mu.Lock()
	defer r.mu.Unlock()
	if t := r.tcp[e]; t != nil {
		t.take(t)
		return t
	}
	if !e.isOther() && !r.room(5) {
		r.full.Add(1)
		e = otherEdge(e.Direction)
	}
	t := r.tcp[e]
	if t == nil {
		t = r.newTCP(e)
		r.tcp[e] = t
	}
	t.take(t)
	return t
}

func (r *Registry) newTCP(e Edge) *TCP {
	t := &TCP{edge: e, members: members{reg: r, set: r.labelSet(e.labels()), pinned: e.isOther()}}
	t.failures.members = &t.members
	t.member(tcpOpenTotal, series{count: &t.opened})
	t.member(tcpOpen, series{gauge: t.openNow})
	t.member(tcpReadBytes, series{count: &t.read})
	t.member(tcpWriteBytes, series{count: &t.written})
	return t
}

// openNow reads what closed before what opened: it is never negative.
func (t *TCP) openNow() float64 {
	closed := t.closed.total()
	return float64(t.opened.Load() - closed)
}

// Open counts a new connection.
func (t *TCP) Open() { t.opened.Add(1) }

// OpenTLS counts a new connection that carries TLS of the application's own,
// by the name that its client asked for, or "". Names past the first ones
// count as "other".
func (t *TCP) OpenTLS(name string) {
	t.Open()
	n := t.names.find(name)
	if n == nil {
		n = t.newCell(&t.names, tlsOpenTotal, "sni", name)
	}
	n.Add(1)
}

// Close counts the end of a connection. Reason is "" for an ordinary end, else
// the reason code for which Leno ended it.
func (t *TCP) Close(reason string) {
	n := t.closed.find(reason)
	if n == nil {
		n = t.newCell(&t.closed, tcpCloseTotal, "reason", reason)
	}
	n.Add(1)
}

// newCell makes a series for a key that is new; the empty key gives no label.
func (t *TCP) newCell(c *cells[string], metric, label, key string) *atomic.Uint64 {
	t.reg.mu.Lock()
	defer t.reg.mu.Unlock()
	if c.len() >= maxCells {
		key = folded
	}
	if n := c.find(key); n != nil {
		return n
	}
	n := c.add(key)
	var labels []Label
	if key != "" {
		labels = []Label{{label, clean(key)}}
	}
	t.member(metric, series{extra: labels, count: n})
	return n
}

// Read counts n bytes that came from the client.
func (t *TCP) Read(n int) { t.read.Add(uint64(n)) }

// Write counts n bytes that went to the client.
func (t *TCP) Write(n int) { t.written.Add(uint64(n)) }

// Failed counts a connection that Leno itself failed or denied.
func (t *TCP) Failed(reason string) { t.failures.count(reason) }

// Release says that the caller counts nothing more here.
func (t *TCP) Release() { t.release(t) }

func (t *TCP) retire(r *Registry) {
	delete(r.tcp, t.edge)
	t.end()
}
