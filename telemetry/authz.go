package telemetry

import "sync/atomic"

const (
	httpAllow = "inbound_http_authz_allow_total"
	httpDeny  = "inbound_http_authz_deny_total"
	tcpAllow  = "inbound_tcp_authz_allow_total"
	tcpDeny   = "inbound_tcp_authz_deny_total"
	auditDeny = "leno_authz_audit_deny_total"
)

// Authz counts the decisions of one policy on one inbound edge.
type Authz struct {
	members
	key     authzKey
	allowed atomic.Uint64
	denied  atomic.Uint64
	audited atomic.Uint64
}

type authzKey struct {
	edge Edge
	tcp  bool
	rule string
}

// Authz gives the counters of the decisions of a rule ("namespace/name" of the
// policy, or "" when none selects the port) on an edge, for HTTP requests or,
// with tcp, for connections.
func (r *Registry) Authz(e Edge, tcp bool, rule string) *Authz {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := authzKey{e, tcp, rule}
	if a := r.authz[key]; a != nil {
		a.take(a)
		return a
	}
	if !e.isOther() && !r.room(3) {
		r.full.Add(1)
		key = authzKey{otherEdge(e.Direction), tcp, folded}
	}
	a := r.authz[key]
	if a == nil {
		a = r.newAuthz(key)
		r.authz[key] = a
	}
	a.take(a)
	return a
}

func (r *Registry) newAuthz(key authzKey) *Authz {
	a := &Authz{key: key, members: members{reg: r, set: r.labelSet(key.edge.labels()), pinned: key.edge.isOther()}}
	var rule []Label
	if key.rule != "" {
		rule = []Label{{"authz_name", clean(key.rule)}}
	}
	allow, deny := httpAllow, httpDeny
	if key.tcp {
		allow, deny = tcpAllow, tcpDeny
	}
	a.member(allow, series{extra: rule, count: &a.allowed})
	a.member(deny, series{extra: rule, count: &a.denied})
	a.member(auditDeny, series{extra: rule, count: &a.audited})
	return a
}

// Allow counts a request or connection that was let in.
func (a *Authz) Allow() { a.allowed.Add(1) }

// Deny counts one that was not.
func (a *Authz) Deny() { a.denied.Add(1) }

// AuditDeny counts one that was let in and would have been denied if the
// policy were enforced.
func (a *Authz) AuditDeny() { a.audited.Add(1) }

// Release says that the caller counts nothing more here.
func (a *Authz) Release() { a.release(a) }

func (a *Authz) retire(r *Registry) {
	delete(r.authz, a.key)
	a.end()
}
