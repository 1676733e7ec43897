//go:build linux

package kube_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"

	"github.com/leno-mesh/leno/test/kube"
)

func TestMain(m *testing.M) { kube.Main(m) }

const echo = echoServer + "---" + echoClient

// echoServer has a pod on each of two nodes.
const echoServer = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: echo
spec:
  replicas: 2
  selector:
    matchLabels: {app: echo}
  template:
    metadata:
      labels: {app: echo}
    spec:
      topologySpreadConstraints:
      - {maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: DoNotSchedule, labelSelector: {matchLabels: {app: echo}}}
      containers:
      - name: echo
        image: localhost/fortio:test
        args: [server]
        readinessProbe:
          httpGet: {path: /fortio/, port: 8080}
          periodSeconds: 1
---
apiVersion: v1
kind: Service
metadata:
  name: echo
spec:
  selector: {app: echo}
  ports:
  - {name: http, port: 80, targetPort: 8080}
`

const echoClient = `
apiVersion: v1
kind: Pod
metadata:
  name: client
spec:
  containers:
  - name: client
    image: localhost/tools:test
    command: [sleep, infinity]
    volumeMounts:
    - {name: token, mountPath: /token}
  volumes:
  - name: token
    projected:
      sources:
      - serviceAccountToken: {audience: leno.dev, path: token}
`

// TestClusterIsReal shows what the other tests stand on: pods on two nodes,
// Services and names from inside and outside, and tokens with an audience.
func TestClusterIsReal(t *testing.T) {
	c := kube.Shared(t)
	c.Fortio(t)
	c.Software(t, "tools")
	ns := c.Namespace(t, "real")
	c.Apply(t, ns, echo)
	c.WaitReady(t, ns, "deployment/echo", "pod/client")

	t.Run("service by name from a pod", func(t *testing.T) {
		eventually(t, "ok", func() (string, error) {
			return c.Try(t.Context(), "exec", "-n", ns, "client", "--", "curl", "-sS", "-m", "5", "-d", "ok", "http://echo/")
		})
	})
	t.Run("each pod from the machine", func(t *testing.T) {
		var pods struct {
			Items []struct {
				Spec   struct{ NodeName string }
				Status struct{ PodIP string }
			}
		}
		c.Get(t, &pods, "pods", "-n", ns, "-l", "app=echo")
		nodes := make(map[string]bool)
		for _, p := range pods.Items {
			nodes[p.Spec.NodeName] = true
			post(t, "http://"+p.Status.PodIP+":8080/")
		}
		if len(nodes) != 2 {
			t.Errorf("the pods are on %v: expected two nodes", nodes)
		}
	})
	t.Run("capture between the nodes", func(t *testing.T) {
		seen := c.Capture(t, "node2")
		eventually(t, "plain-text", func() (string, error) {
			both := "curl -sS -m 5 http://echo/ -d plain-text >/dev/null; curl -sS -m 5 http://echo/ -d plain-text"
			_, err := c.Try(t.Context(), "exec", "-n", ns, "client", "--", "sh", "-c", both)
			if err != nil || !seen.Contains("plain-text") {
				return "silence", err
			}
			return "plain-text", nil
		})
		seen.Stop()
	})
	t.Run("a killed container starts again", func(t *testing.T) {
		for _, pid := range c.Processes(t, ns, "client", "client") {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
		c.WaitFor(t, ns, "pod/client", "jsonpath={.status.containerStatuses[0].restartCount}=1")
		c.WaitReady(t, ns, "pod/client")
	})
	t.Run("service from the machine", func(t *testing.T) {
		address := c.Do(t, "get", "service", "echo", "-n", ns, "-o", "jsonpath={.spec.clusterIP}")
		post(t, "http://"+address+"/")
	})
	t.Run("token with an audience", func(t *testing.T) {
		token := c.Exec(t, ns, "client", "cat", "/token/token")
		want := "system:serviceaccount:" + ns + ":default"
		if user := review(t, c, token, "leno.dev"); user != want {
			t.Errorf("the token with its own audience is %q, not %q", user, want)
		}
		if user := review(t, c, token, "elsewhere"); user != "" {
			t.Errorf("the token with another audience is %q: expected nobody", user)
		}
	})
}

// TestLenosImagesRun shows that the images hold all that the binaries need.
func TestLenosImagesRun(t *testing.T) {
	c := kube.Shared(t)
	ns := c.Namespace(t, "images")
	for name, image := range map[string]string{"leno": kube.Leno, "leno-proxy": kube.Proxy} {
		t.Run(name, func(t *testing.T) {
			c.Do(t, "run", name, "-n", ns, "--image="+image, "--restart=Never", "--", "version")
			c.WaitFor(t, ns, "pod/"+name, "jsonpath={.status.phase}=Succeeded")
			if out := c.Do(t, "logs", "-n", ns, name); !strings.Contains(out, ".") {
				t.Errorf("version says %q", out)
			}
		})
	}
}

// TestSoftwareRuns shows that the images of Debian's software hold what their
// programs are linked to.
func TestSoftwareRuns(t *testing.T) {
	c := kube.Shared(t)
	ns := c.Namespace(t, "software")
	tests := []struct {
		name    string
		command []string
		want    string
	}{
		{"nginx", []string{"nginx", "-v"}, "nginx"},
		{"postgres", []string{"/usr/lib/postgresql/15/bin/postgres", "--version"}, "PostgreSQL"},
		{"mariadb", []string{"mariadbd", "--version"}, "MariaDB"},
		{"redis", []string{"redis-server", "--version"}, "Redis"},
		{"tools", []string{"sh", "-c", "curl --version; psql --version; mariadb --version; redis-cli --version; wrk -v | head -1"}, "psql"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			image := c.Software(t, test.name)
			args := append([]string{"run", test.name, "-n", ns, "--image=" + image, "--restart=Never", "--command", "--"}, test.command...)
			c.Do(t, args...)
			c.WaitFor(t, ns, "pod/"+test.name, "jsonpath={.status.phase}=Succeeded")
			if out := c.Do(t, "logs", "-n", ns, test.name); !strings.Contains(out, test.want) {
				t.Errorf("%v says %q", test.command, out)
			}
		})
	}
}

// eventually gives what is programmed into the nodes time to arrive there.
func eventually(t *testing.T, want string, try func() (string, error)) {
	t.Helper()
	kube.Wait(t, "answer "+want, func() string {
		got, err := try()
		switch {
		case err != nil:
			return err.Error()
		case got != want:
			return "got " + got
		}
		return ""
	})
}

// post sends a body from the machine, and expects it back.
func post(t *testing.T, url string) {
	t.Helper()
	client := &http.Client{Timeout: kube.Ceiling}
	defer client.CloseIdleConnections()
	eventually(t, "hello", func() (string, error) {
		resp, err := client.Post(url, "text/plain", strings.NewReader("hello"))
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	})
}

// review asks the API server whose token this is, for an audience.
func review(t *testing.T, c *kube.Cluster, token, audience string) (user string) {
	t.Helper()
	in, err := json.Marshal(map[string]any{
		"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
		"spec": map[string]any{"token": token, "audiences": []string{audience}},
	})
	if err != nil {
		t.Fatal(err)
	}
	var out struct {
		Status struct {
			Authenticated bool
			User          struct{ Username string }
		}
	}
	if err := json.Unmarshal([]byte(c.Create(t, string(in))), &out); err != nil {
		t.Fatal(err)
	}
	if !out.Status.Authenticated {
		return ""
	}
	return out.Status.User.Username
}
