// Package operator is the operator's interface to the control plane: the JSON
// that travels over its unix socket, and a client for it. Who can open the
// socket (mode 0600) may do everything here; a workload's certificate opens
// none of it.
package operator

import (
	"net/netip"
	"time"

	"github.com/leno-mesh/leno/identity"
)

// TokenRequest asks for a join token.
type TokenRequest struct {
	Namespace      string   `json:"namespace"`
	ServiceAccount string   `json:"service_account"`
	Services       []string `json:"services"` // "name:port"
	TTLSeconds     int64    `json:"ttl_seconds"`
	// Servers are the addresses for the join file; none means those that the
	// server knows itself by.
	Servers []string `json:"servers,omitempty"`
}

// TokenAnswer is a new token in the form in which it is handed out.
type TokenAnswer struct {
	ID       string             `json:"id"`
	JoinFile *identity.JoinFile `json:"join_file"`
}

// Token is a token in a list. The secret itself is nowhere kept.
type Token struct {
	ID             string    `json:"id"`
	Namespace      string    `json:"namespace"`
	ServiceAccount string    `json:"service_account"`
	Services       []string  `json:"services"`
	Status         string    `json:"status"` // unused, used, expired, revoked
	Created        time.Time `json:"created"`
	Expires        time.Time `json:"expires"`
	Workload       string    `json:"workload,omitempty"`
}

// StaleAfter is how long after the last agreement with the control plane a
// proxy's snapshot is called old: three heartbeats.
const StaleAfter = 45 * time.Second

// Proxy is one workload that joined, with what is known of its proxy.
type Proxy struct {
	Workload       string   `json:"workload"`
	Name           string   `json:"name"`
	Namespace      string   `json:"namespace"`
	ServiceAccount string   `json:"service_account"`
	Identity       string   `json:"identity"`
	Addr           string   `json:"addr"`
	Zone           string   `json:"zone,omitempty"`
	Services       []string `json:"services"` // "name:port"
	// Title is what stat and edges call it, together with its siblings. Owner
	// is what keeps it running, "deployment/web", where that is known.
	Title          string            `json:"title"`
	Owner          string            `json:"owner,omitempty"`
	Labels         map[string]string `json:"labels,omitempty"`
	State          string            `json:"state"` // ready, doubtful, draining
	Connected      bool              `json:"connected"`
	ConnectedSince time.Time         `json:"connected_since,omitzero"`
	ProxyVersion   string            `json:"proxy_version,omitempty"`
	// Snapshot is the newest version the proxy has seen, Confirmed when it
	// last agreed with the server on everything it holds.
	Snapshot     string    `json:"snapshot,omitempty"`
	Confirmed    time.Time `json:"confirmed,omitzero"`
	Destinations int       `json:"destinations"`
	// Anchors says whether the proxy has the trust anchors of now. Nil: it has
	// not said, or the server is of a release that does not tell.
	Anchors        *bool             `json:"anchors,omitempty"`
	Refused        map[string]string `json:"refused,omitempty"`
	CertificateEnd time.Time         `json:"certificate_end,omitzero"`
	RSSBytes       uint64            `json:"rss_bytes"`
	CPUSeconds     float64           `json:"cpu_seconds"`
}

// Endpoint is one place where a service can be reached.
type Endpoint struct {
	Namespace string         `json:"namespace"`
	Service   string         `json:"service"`
	Port      uint16         `json:"service_port"`
	Addr      netip.AddrPort `json:"addr"`
	Instance  string         `json:"instance"`
	Zone      string         `json:"zone,omitempty"`
	Meshed    bool           `json:"meshed"`
	Identity  string         `json:"identity,omitempty"`
	Workload  string         `json:"workload,omitempty"`
	State     string         `json:"state"` // ready, doubtful, draining, starting
}

// Certificate is what one certificate says.
type Certificate struct {
	Subject  string    `json:"subject"`
	Issuer   string    `json:"issuer"`
	URIs     []string  `json:"uris,omitempty"`
	Serial   string    `json:"serial"`
	Begins   time.Time `json:"begins"`
	Ends     time.Time `json:"ends"`
	KeyUsage []string  `json:"key_usage,omitempty"`
	CA       bool      `json:"ca"`
}

// Identity is one holder of a certificate with its chain, leaf first.
type Identity struct {
	Holder   string        `json:"holder"` // instance name, or "server"
	Workload string        `json:"workload,omitempty"`
	Identity string        `json:"identity"`
	Chain    []Certificate `json:"chain"`
}

// Severity of a check that did not succeed.
const (
	SeverityOK      = "success"
	SeverityWarning = "warning"
	SeverityError   = "error"
)

// Check is the outcome of one check.
type Check struct {
	Category    string `json:"category"`
	Description string `json:"description"`
	Result      string `json:"result"`
	Error       string `json:"error,omitempty"`
	Hint        string `json:"hint,omitempty"` // what to do, with the command
}

// Status is the control plane itself.
type Status struct {
	Version     string    `json:"version"`
	Started     time.Time `json:"started"`
	TrustDomain string    `json:"trust_domain"`
	Address     string    `json:"address"` // for proxies
	Snapshot    string    `json:"snapshot"`
	Proxies     int       `json:"proxies"`
	Workloads   int       `json:"workloads"`
	Services    int       `json:"services"`
	PID         int       `json:"pid"`
}
