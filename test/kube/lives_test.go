//go:build linux

package kube_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/kube"
)

const job = `
apiVersion: batch/v1
kind: Job
metadata: {name: once}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      initContainers: # in the mesh too
      - {name: before, image: localhost/tools:test, command: [curl, -sSf, -m, "20", --retry, "10", --retry-all-errors, "http://server:8080/init"]}
      containers:
      - {name: job, image: localhost/tools:test, command: [curl, -sSf, -m, "20", "http://server:8080/job"]}
`

// last calls out before it is told to end, and when it is told.
const last = `
apiVersion: v1
kind: Pod
metadata: {name: last}
spec:
  terminationGracePeriodSeconds: 60
  containers:
  - name: app
    image: localhost/tools:test
    command: [sh, -c, "trap 'curl -sS -m 20 http://server:8080/term-1; sleep 2; curl -sS -m 20 http://server:8080/term-2; exit 0' TERM; while :; do sleep 1; done"]
    lifecycle: {preStop: {exec: {command: [sh, -c, "curl -sS -m 20 http://server:8080/stop-1; sleep 2; curl -sS -m 20 http://server:8080/stop-2"]}}}
`

const stateful = `
apiVersion: v1
kind: Service
metadata: {name: db}
spec:
  clusterIP: None
  selector: {app: db}
  ports: [{name: http, port: 8080}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: db
  replicas: 2
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
      - name: app
        image: localhost/nginx:test
        command: [sh, -c, %q]
        readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
`

// TestLives has pods that end: a Job completes although its proxy would go on
// for ever, and a proxy ends after its application. It also has those that last:
// the pods of a StatefulSet have names of their own.
func TestLives(t *testing.T) {
	t.Parallel()
	c := withLeno(t)
	c.Software(t, "nginx")
	c.Software(t, "tools")
	ns := c.Namespace(t, "lives", "leno.dev/inject=enabled")
	start(t, c, ns, tooled("client"), app{name: "server", image: "nginx", port: 8080, command: nginx("location / { return 200; }")})
	served := func(t *testing.T, paths ...string) {
		kube.Wait(t, "calls of "+strings.Join(paths, " "), func() string {
			log := c.Exec(t, ns, "server", "cat", "/tmp/log")
			for _, path := range paths {
				if !strings.Contains(log, "GET "+path+" ") {
					return path + " was not called:\n" + log
				}
			}
			return ""
		})
	}

	t.Run("a job", func(t *testing.T) {
		c.Apply(t, ns, job)
		c.WaitFor(t, ns, "job/once", "condition=Complete")
		served(t, "/init", "/job")
	})
	t.Run("the proxy ends last", func(t *testing.T) {
		c.Apply(t, ns, last)
		c.WaitReady(t, ns, "pod/last")
		c.Do(t, "delete", "pod", "-n", ns, "last", "--wait")
		served(t, "/stop-1", "/stop-2", "/term-1", "/term-2")
	})
	t.Run("a StatefulSet", func(t *testing.T) {
		c.Apply(t, ns, fmt.Sprintf(stateful, nginx("location / { return 200 $hostname; }")))
		c.WaitReady(t, ns, "statefulset/db")
		kube.Wait(t, "each by its own name, secured", func() string {
			out, err := c.Try(t.Context(), "exec", "-n", ns, "client", "--", "sh", "-c",
				"curl -sS -m 20 http://db-0.db:8080/; echo -n ' '; curl -sS -m 20 http://db-1.db."+ns+".svc.cluster.local:8080/")
			if err != nil || out != "db-0 db-1" {
				return out + text(err)
			}
			return secured(t, c, ns, "client", "db")
		})
	})
	t.Run("a closed port", func(t *testing.T) { closedPort(t, c, ns) })
}

// closedPort has clients in and out of the mesh connect to ports where nobody
// listens: at a pod, and at the port of a Service.
func closedPort(t *testing.T, c *kube.Cluster, ns string) {
	outside := c.Namespace(t, "outside")
	start(t, c, outside, tooled("client"))
	ip := c.Do(t, "get", "pod", "-n", ns, "server", "-o", "jsonpath={.status.podIP}")
	c.Apply(t, ns, `
apiVersion: v1
kind: Service
metadata: {name: closed}
spec:
  selector: {app: server}
  ports: [{port: 7777}]
`)
	for where, from := range map[string]string{"in": ns, "out of": outside} {
		for what, to := range map[string]string{"pod": ip, "Service": "closed." + ns} {
			t.Run(fmt.Sprintf("from %s the mesh to a %s", where, what), func(t *testing.T) {
				// The client of a database waits for the server to speak first, and
				// tells the error of its socket.
				kube.Wait(t, "a reset", func() string {
					_, err := c.Try(t.Context(), "exec", "-n", from, "client", "--",
						"mariadb", "--no-defaults", "--connect-timeout=60", "-h", to, "-P", "7777", "-e", "select 1")
					if err != nil && (strings.Contains(err.Error(), "error: 104") || strings.Contains(err.Error(), "(111)")) {
						return ""
					}
					return "got " + text(err)
				})
			})
		}
	}
}
