//go:build linux

package kube_test

import (
	"fmt"
	"testing"
)

// web is an application of three replicas on two nodes. Its container is
// written in.
const web = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations: {%s}
    spec:
      containers:
      - {%s}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{name: http, port: 80, targetPort: 8080}, {name: grpc, port: 8079}]
`

// patient is an application that waits for its endpoints to be forgotten before
// it ends, as Kubernetes' documents advise.
const patient = `name: web, image: localhost/fortio:test, args: [server, -loglevel, Warning],
        readinessProbe: {httpGet: {path: /fortio/, port: 8080}, periodSeconds: 1},
        lifecycle: {preStop: {sleep: {seconds: 3}}}`

// hasty is an application that finishes what it was asked, and takes nothing
// more from the moment that it is told to end: most others do not know yet.
const hasty = `name: web, image: localhost/nginx:test,
        command: [sh, -c, 'mkdir -p /var/lib/nginx; echo "$CONF" >/tmp/conf && exec nginx -e /dev/stderr -c /tmp/conf'],
        env: [{name: CONF, value: "daemon off; pid /tmp/pid; events {} http {access_log off; server {listen 8080; return 200 hello;}}"}],
        readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1},
        lifecycle: {preStop: {exec: {command: [sh, -c, 'nginx -e /dev/stderr -c /tmp/conf -s quit; while [ -e /tmp/pid ]; do sleep 0.1; done']}}}`

// TestRollingRestart replaces every pod of an application that is called 500
// times a second.
func TestRollingRestart(t *testing.T) {
	c := withLeno(t)
	c.Fortio(t)
	c.Software(t, "nginx")
	for name, container := range map[string]string{"patient": patient, "hasty": hasty} {
		t.Run(name, func(t *testing.T) {
			ns := c.Namespace(t, "rolling", "leno.dev/inject=enabled")
			c.Apply(t, ns, fmt.Sprintf(web, "", container))
			c.WaitReady(t, ns, "deployment/web")
			loads := []*load{startLoad(t, c, ns, caller{name: "client", target: "http://web/"})}
			if container == patient {
				loads = append(loads, startLoad(t, c, ns, caller{name: "grpc", target: "web:8079", grpc: true}))
			}
			c.Do(t, "rollout", "restart", "-n", ns, "deployment/web")
			c.WaitReady(t, ns, "deployment/web")
			for _, l := range loads {
				l.await(500)
				l.mustBeGood()
			}
		})
	}
}
