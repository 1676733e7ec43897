package inject

import (
	"net/url"
	"strconv"
	"strings"
)

// probePath is where the proxy's admin port connects to a port of the
// application. A TCP probe of a captured port would always succeed, since it is
// the proxy that takes the connection.
const probePath = "/probe/tcp/"

// eachProbe calls f for every probe.
func eachProbe(spec tree, f func(container, probe tree)) {
	for _, key := range podContainers() {
		for _, c := range objects(spec, key) {
			for _, kind := range []string{"livenessProbe", "readinessProbe", "startupProbe"} {
				if p := sub(c, kind); p != nil {
					f(c, p)
				}
			}
		}
	}
}

// rewriteProbes has the proxy do the TCP probes. HTTP and gRPC probes work as
// they are: they fail when the application does not answer.
func rewriteProbes(spec tree) {
	eachProbe(spec, func(c, p tree) {
		tcp := sub(p, "tcpSocket")
		if tcp == nil || tcp["host"] != nil {
			return // of another host: as it was
		}
		path, ok := pathOf(c, tcp["port"])
		if !ok {
			return
		}
		delete(p, "tcpSocket")
		p["httpGet"] = tree{"path": path, "port": adminPort}
	})
}

// pathOf writes a probe's port, and its name if it was given by name.
func pathOf(container tree, p any) (string, bool) {
	name, byName := p.(string)
	if _, err := port(number(p)); err == nil && !byName {
		return probePath + number(p), true
	}
	if _, err := port(name); err == nil {
		return probePath + name + "?name=" + name, true
	}
	for _, x := range objects(container, "ports") {
		if byName && text(x, "name") == name {
			return probePath + number(x["containerPort"]) + "?name=" + url.QueryEscape(name), true
		}
	}
	return "", false
}

// restoreProbes puts back what rewriteProbes replaced.
func restoreProbes(spec tree) {
	eachProbe(spec, func(_, p tree) {
		path, ours := strings.CutPrefix(text(sub(p, "httpGet"), "path"), probePath)
		if !ours || number(sub(p, "httpGet")["port"]) != strconv.Itoa(adminPort) {
			return
		}
		digits, query, _ := strings.Cut(path, "?")
		n, err := port(digits)
		if err != nil {
			return
		}
		var was any = int(n)
		if q, err := url.ParseQuery(query); err == nil && q.Get("name") != "" {
			was = q.Get("name")
		}
		delete(p, "httpGet")
		p["tcpSocket"] = tree{"port": was}
	})
}
