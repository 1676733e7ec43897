package inject

import (
	"fmt"
	"slices"
	"strconv"
)

// conflicts warns of what goes past the proxy, or into its way.
func conflicts(spec tree) (warnings []string) {
	if isProxyUser(sub(spec, "securityContext")) {
		warnings = append(warnings, bypass("the pod"))
	}
	for _, key := range podContainers() {
		for _, c := range objects(spec, key) {
			name := "container " + text(c, "name")
			if isProxyUser(sub(c, "securityContext")) {
				warnings = append(warnings, bypass(name))
			}
			for _, p := range objects(c, "ports") {
				warnings = append(warnings, portConflicts(name, p)...)
			}
		}
	}
	return warnings
}

func bypass(what string) string {
	return fmt.Sprintf("%s runs as user %d, which is the proxy's: its connections are not captured; run it as another user", what, ProxyUser)
}

func isProxyUser(security tree) bool {
	return security != nil && number(security["runAsUser"]) == strconv.Itoa(ProxyUser)
}

func portConflicts(container string, p tree) []string {
	n, protocol := number(p["containerPort"]), text(p, "protocol")
	switch {
	case protocol == "UDP" || protocol == "SCTP":
		return []string{fmt.Sprintf("%s uses %s port %s; %[2]s is not captured, and so not protected", container, protocol, n)}
	case slices.Contains([]string{strconv.Itoa(adminPort), strconv.Itoa(inboundPort), strconv.Itoa(outboundPort)}, n):
		return []string{fmt.Sprintf("%s uses port %s, on which the proxy listens: one of them will not start; give it another port", container, n)}
	}
	return nil
}
