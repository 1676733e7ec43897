// Package check looks for problems that only the cluster can show: before an
// installation, around a control plane that runs, and beside the pods that
// should have a proxy. Each check is a function from what the API server says
// to outcomes of the form that the control plane's own checks have; it changes
// nothing.
package check

// Names that the checks look for; docs/kubernetes.md lists them.
const (
	WebhookName = "leno-injector"
	InjectKey   = "leno.dev/inject"

	serverName     = "leno-server"
	proxyContainer = "leno-proxy"
	initContainer  = "leno-init"
)
