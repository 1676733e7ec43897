package fault

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

// policy lets one identity call a service; the mode is Enforce or Audit.
func policy(service, mode, who string) string {
	return fmt.Sprintf(`
apiVersion: leno.dev/v1alpha1
kind: AccessPolicy
metadata: {name: %s, namespace: shop}
spec:
  service: %s
  mode: %s
  allow: {identities: [%s]}
`, service, service, mode, who)
}

const route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: app, namespace: shop}
spec:
  parentRefs: [{group: "", kind: Service, name: app, port: 8080}]
  rules:
  - matches: [{headers: [{name: x-canary, value: "yes"}]}]
    backendRefs: [{name: canary, port: 8080}]
  - matches: [{path: {type: PathPrefix, value: /slow}}]
    timeouts: {request: 200ms}
    backendRefs: [{name: stable, port: 8080}]
  - backendRefs:
    - {name: stable, port: 8080, weight: 90}
    - {name: canary, port: 8080, weight: 10}
`

// answer is how the application, or a proxy, answered.
type answer struct {
	status       int
	reason, from string
	caller       string // whom the application took the caller for
}

// ask calls the service once, with header fields "name: value".
func (s *shop) ask(t *testing.T, path string, fields ...string) answer {
	t.Helper()
	client := s.client.At.HTTP(t)
	defer client.CloseIdleConnections()
	client.Timeout = harness.Ceiling
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range fields {
		name, value, _ := strings.Cut(f, ": ")
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	from, _, _ := strings.Cut(string(body), " ")
	return answer{status: resp.StatusCode, reason: resp.Header.Get("leno-reason"), from: from, caller: resp.Header.Get("Caller")}
}

// until asks until the answer is the one wanted.
func (s *shop) until(t *testing.T, what string, good func(answer) bool, path string, fields ...string) {
	t.Helper()
	harness.Wait(t, what, func() string {
		if a := s.ask(t, path, fields...); !good(a) {
			return fmt.Sprintf("%+v", a)
		}
		return ""
	})
}

// TestFilesRoute follows an HTTPRoute from the directory to the requests, and
// a mistake in it to the log.
func TestFilesRoute(t *testing.T) {
	s := &shop{mesh: harness.NewMesh(t, harness.MeshConfig{})}
	stable, canary, from := harness.Loopback(t), harness.Loopback(t), harness.Loopback(t)
	harness.StartApp(t, stable, port, "stable")
	harness.StartApp(t, canary, port, "canary")
	s.mesh.Start(harness.Sidecar{At: stable, Name: "stable", Services: []string{"app:8080", "stable:8080"}})
	s.mesh.Start(harness.Sidecar{At: canary, Name: "canary", Services: []string{"canary:8080"}})
	s.client = s.mesh.Start(harness.Sidecar{At: from, Name: "client", Upstreams: []string{"app:8080=" + from.At(port).String()}})
	s.url = "http://" + from.At(port).String()

	if a := s.ask(t, "/", "x-canary: yes"); a.from != "stable" {
		t.Errorf("without a route: %+v", a)
	}
	s.mesh.Apply("route.yaml", route)
	fromCanary := func(a answer) bool { return a.from == "canary" }
	s.until(t, "header match", fromCanary, "/", "x-canary: yes")
	if a := s.ask(t, "/slow?delay=1h"); a.status != http.StatusGatewayTimeout || a.reason != "timeout" {
		t.Errorf("request time-out: %+v", a)
	}
	const asked = 600
	got := make(map[string]int)
	client := s.client.At.HTTP(t)
	for range asked {
		resp, err := client.Get(s.url + "/?delay=0s")
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		got[strings.TrimSpace(string(body))]++
	}
	// Seven standard deviations: it fails when the weights are wrong, not by chance.
	if got["canary"] < 10 || got["canary"] > 110 || got["canary"]+got["stable"] != asked {
		t.Errorf("weights 90 and 10: %v of %d", got, asked)
	}

	s.mesh.Apply("route.yaml", strings.Replace(route, "backendRefs: [{name: stable", "backendRef: [{name: stable", 1))
	harness.Wait(t, "complaint about the unknown field", func() string {
		if log := s.mesh.Server().Output(); !strings.Contains(log, "route.yaml:12") || !strings.Contains(log, "spec.rules[1].backendRef") {
			return log
		}
		return ""
	})
	if a := s.ask(t, "/", "x-canary: yes"); a.from != "canary" {
		t.Errorf("after a file with a mistake: %+v", a)
	}
	s.mesh.Apply("route.yaml", "")
	s.until(t, "no route", func(a answer) bool { return a.from == "stable" }, "/", "x-canary: yes")
}

// TestFilesPolicy follows an AccessPolicy: what is denied, what is only
// written down, and what is open already.
func TestFilesPolicy(t *testing.T) {
	s := &shop{mesh: harness.NewMesh(t, harness.MeshConfig{})}
	app, from := harness.Loopback(t), harness.Loopback(t)
	harness.StartApp(t, app, port, "a")
	echo(t, app)
	server := s.mesh.Start(harness.Sidecar{At: app, Name: "a", Services: []string{"app:8080", "echo:7000"}})
	s.client = s.mesh.Start(harness.Sidecar{At: from, Name: "client", Upstreams: []string{
		"app:8080=" + from.At(port).String(), "echo:7000=" + from.At(echoPort).String(),
	}})
	s.url = "http://" + from.At(port).String()

	me := "spiffe://cluster.local/ns/shop/sa/client"
	allowed := func(a answer) bool { return a.status == http.StatusOK && a.caller == me }
	denied := func(a answer) bool { return a.status == http.StatusForbidden && a.reason == "denied" }
	s.until(t, "no policy", allowed, "/")
	s.until(t, "a header that claims another caller", allowed, "/", "leno-client-id: spiffe://cluster.local/ns/shop/sa/nobody")
	s.mesh.Apply("app.yaml", policy("app", "Enforce", "shop/nobody"))
	s.until(t, "denied", denied, "/")
	s.mesh.Apply("app.yaml", policy("app", "Audit", "shop/nobody"))
	s.until(t, "audit", allowed, "/")
	if n := server.Metrics().Sum("leno_authz_audit_deny_total"); n == 0 {
		t.Error("the audit has no count")
	}
	s.mesh.Apply("app.yaml", policy("app", "Enforce", "shop/client"))
	s.until(t, "allowed by name", allowed, "/")

	conn := dialEcho(t, from)
	conn.say(t, "nobody minds")
	s.mesh.Apply("echo.yaml", policy("echo", "Enforce", "shop/nobody"))
	harness.Wait(t, "end of the open connection", func() string {
		if conn.try("still there") == nil {
			return "it goes on"
		}
		return ""
	})
	if err := dialEcho(t, from).try("again"); err == nil {
		t.Error("a new connection is let through")
	}
	if n := server.Metrics().Sum("inbound_tcp_authz_deny_total"); n == 0 {
		t.Error("the denied connection has no count")
	}
}
