package mesh

// Access is the compiled form of every AccessPolicy that selects one port of
// one workload. No policy means: everybody may call.
type Access struct {
	Policies []AccessRule
}

// AccessRule is one policy on a port.
type AccessRule struct {
	// Name is "namespace/name" of the resource.
	Name string
	// Audit rules are counted and logged but deny nothing.
	Audit bool
	// Identities may call. One that ends in "/*" names a whole namespace
	// (spiffe://td/ns/shop/sa/*); "*" is every authenticated identity.
	Identities []Identity
}

// Decision is the answer of Access to one caller.
type Decision struct {
	Allowed bool
	// Rule is the policy that decided: one that allowed, or for a denial the
	// first enforced one. Empty when no policy selects the port.
	Rule string
	// AuditDenied names an audit policy that would have denied, or "".
	AuditDenied string
}

// Decide says whether a caller may use the port. The empty identity is an
// unauthenticated caller: only a port without enforced policies takes it.
// When several enforced policies select a port, one that names the caller is
// enough.
func (a Access) Decide(caller Identity) Decision {
	d := Decision{Allowed: true}
	enforced, allowed := "", ""
	for _, r := range a.Policies {
		named := r.names(caller)
		switch {
		case r.Audit && !named && d.AuditDenied == "":
			d.AuditDenied = r.Name
		case r.Audit:
		case named && allowed == "":
			allowed = r.Name
		case !named && enforced == "":
			enforced = r.Name
		}
	}
	d.Rule = allowed
	if allowed == "" && enforced != "" {
		d.Allowed, d.Rule = false, enforced
	}
	return d
}

func (r AccessRule) names(caller Identity) bool {
	if caller == "" {
		return false
	}
	for _, id := range r.Identities {
		if id == caller || id == "*" {
			return true
		}
		if n := len(id); n > 1 && id[n-1] == '*' && id[n-2] == '/' && len(caller) >= n && caller[:n-1] == id[:n-1] {
			return true
		}
	}
	return false
}
