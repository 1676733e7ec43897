package compile

import (
	"strings"

	"github.com/leno-mesh/leno/mesh"
)

// ServiceOf reads a host name as the name of a service: x, x.ns, x.ns.svc or
// x.ns.svc.<cluster-domain>. A bare name is looked up in the given namespace.
// It says only what the name means, not whether there is such a service.
func ServiceOf(host, namespace, clusterDomain string) (mesh.ServiceName, bool) {
	name, rest, dotted := strings.Cut(host, ".")
	if dotted {
		var suffix string
		namespace, suffix, dotted = strings.Cut(rest, ".")
		if dotted && suffix != "svc" && suffix != "svc."+clusterDomain {
			return mesh.ServiceName{}, false
		}
	}
	s, err := mesh.ParseServiceName(name + "." + namespace)
	return s, err == nil
}
