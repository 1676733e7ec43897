package mesh

import (
	"fmt"
	"strings"
)

// The ports of a proxy, unless it is told others.
const (
	InboundPort  = 4143
	OutboundPort = 4140
	AdminPort    = 4191
)

// TrustDomain is the name of one authority's realm, such as "cluster.local".
// It is the host part of every Identity that the authority issues.
type TrustDomain string

// Identity is a SPIFFE ID of the form
// spiffe://<trust-domain>/ns/<namespace>/sa/<service-account>.
// The empty Identity means: none, not meshed, not authenticated.
type Identity string

// NewIdentity joins the three parts of an identity. It does not validate
// them; ParseIdentity does.
func NewIdentity(td TrustDomain, namespace, serviceAccount string) Identity {
	return Identity("spiffe://" + string(td) + "/ns/" + namespace + "/sa/" + serviceAccount)
}

// IdentityParts are the three names inside an Identity.
type IdentityParts struct {
	TrustDomain    TrustDomain
	Namespace      string
	ServiceAccount string
}

// ParseIdentity takes an identity apart. It accepts exactly the form that
// NewIdentity writes, with every part a valid name.
func ParseIdentity(s string) (IdentityParts, error) {
	bad := func(why string) (IdentityParts, error) {
		return IdentityParts{}, fmt.Errorf("identity %q: %s; want spiffe://<trust-domain>/ns/<namespace>/sa/<service-account>", s, why)
	}
	rest, ok := strings.CutPrefix(s, "spiffe://")
	if !ok {
		return bad("no spiffe:// in front")
	}
	parts := strings.Split(rest, "/")
	if len(parts) != 5 || parts[1] != "ns" || parts[3] != "sa" {
		return bad("not of that form")
	}
	p := IdentityParts{TrustDomain: TrustDomain(parts[0]), Namespace: parts[2], ServiceAccount: parts[4]}
	if !ValidTrustDomain(parts[0]) {
		return bad("bad trust domain")
	}
	if !ValidName(p.Namespace) || !ValidName(p.ServiceAccount) {
		return bad("bad name")
	}
	return p, nil
}

// Parts takes an identity apart; an identity that is not well-formed gives
// the zero value.
func (id Identity) Parts() IdentityParts {
	p, err := ParseIdentity(string(id))
	if err != nil {
		return IdentityParts{}
	}
	return p
}

// ValidTrustDomain says whether s can be a trust domain: 1 to 255 lower-case
// letters, digits, dots, dashes and underscores (SPIFFE-ID, section 2.1).
func ValidTrustDomain(s string) bool {
	return len(s) >= 1 && len(s) <= 255 && strings.IndexFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_')
	}) < 0
}

// ValidName says whether s can be the name of a namespace, a service, a
// service account or a workload: a DNS-1123 label or subdomain of at most
// 253 characters.
func ValidName(s string) bool {
	if len(s) == 0 || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if !validLabel(label) {
			return false
		}
	}
	return true
}

func validLabel(s string) bool {
	if len(s) == 0 || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, r := range s {
		if !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-') {
			return false
		}
	}
	return true
}

// ServiceName is the full name of a service: what clients call.
type ServiceName struct {
	Namespace string
	Name      string
}

// String gives "name.namespace", or "" for the zero value.
func (s ServiceName) String() string {
	if s == (ServiceName{}) {
		return ""
	}
	return s.Name + "." + s.Namespace
}

// ParseServiceName reads "name.namespace".
func ParseServiceName(s string) (ServiceName, error) {
	name, ns, ok := strings.Cut(s, ".")
	if !ok || !validLabel(name) || !validLabel(ns) {
		return ServiceName{}, fmt.Errorf("service %q: want <name>.<namespace>", s)
	}
	return ServiceName{Namespace: ns, Name: name}, nil
}

// Compare orders services by namespace, then by name.
func (s ServiceName) Compare(o ServiceName) int {
	if c := strings.Compare(s.Namespace, o.Namespace); c != 0 {
		return c
	}
	return strings.Compare(s.Name, o.Name)
}

// WorkloadID names one running instance for as long as it runs: a pod UID or
// a registration ID. It is never used again for another instance.
type WorkloadID string
