package inject

import "cmp"

// The names of what is added to a pod.
const (
	InitContainer  = "leno-init"
	ProxyContainer = "leno-proxy"
	identityVolume = "leno-identity"
	stateVolume    = "leno-state"

	mountedDir = "/var/run/leno" // token, bundle.pem, server, trust-domain
	stateDir   = "/var/lib/leno" // in memory; survives a crash of the proxy

	adminPort    = 4191
	inboundPort  = 4143
	outboundPort = 4140

	// Audience is that of the token by which a pod says who it is.
	Audience = "leno.dev"
	// Bundle is the ConfigMap of each namespace with whom to trust and ask.
	Bundle = "leno-bundle"

	// ProxyUser is the user that the proxy runs as, whose connections are not
	// captured.
	ProxyUser = 2102
)

// Settings are the same for all pods of a mesh.
type Settings struct {
	// Image of leno-proxy, with its tag.
	Image string
	// PullPolicy of the image; IfNotPresent unless set.
	PullPolicy string
	// Version of Leno, noted at the pod.
	Version string
	// CNI leaves the init container out: a CNI plugin captures the traffic.
	CNI bool
	// LogLevel of proxies whose pods name none; their own default when empty.
	LogLevel string
}

func (s Settings) pullPolicy() string { return cmp.Or(s.PullPolicy, "IfNotPresent") }
