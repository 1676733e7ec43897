//go:build linux

package kube_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/leno-mesh/leno/test/harness"
	"github.com/leno-mesh/leno/test/kube"
)

// connections are how many a load has: so many requests are under way at most.
const connections = 8

// load is a pod of the mesh that calls one address 500 times a second, over
// eight connections, until it is told to stop.
type load struct {
	t        *testing.T
	c        *kube.Cluster
	ns, name string
	ip       string // of the pod
}

const loadPod = `
apiVersion: v1
kind: Pod
metadata: {name: %q, annotations: {%s}}
spec:
  restartPolicy: Never
  nodeSelector: {%s}
  containers:
  - name: fortio
    image: localhost/fortio:test
    args: [load, -quiet, -logger-json=false, -qps, "500", -c, %q, -t, "0", -timeout, 20s, -json, "-", %q]
`

// startLoad starts a load in a namespace of the mesh, and returns when its
// first requests are answered. Where says which node, and annotations what the
// proxy gets; both may be empty.
func startLoad(t *testing.T, c *kube.Cluster, ns, name, url, where, annotations string) *load {
	t.Helper()
	c.Fortio(t)
	c.Apply(t, ns, fmt.Sprintf(loadPod, name, annotations, where, strconv.Itoa(connections), url))
	c.WaitReady(t, ns, "pod/"+name)
	l := &load{t: t, c: c, ns: ns, name: name}
	l.ip = c.Do(t, "get", "pod", "-n", ns, name, "-o", "jsonpath={.status.podIP}")
	l.await(100)
	return l
}

// await waits until so many more requests succeeded.
func (l *load) await(more float64) {
	l.t.Helper()
	want := l.succeeded() + more
	kube.Wait(l.t, fmt.Sprintf("%v more requests of %s", more, l.name), func() string {
		if got := l.succeeded(); got < want {
			return fmt.Sprintf("%v of %v", got, want)
		}
		return ""
	})
}

func (l *load) succeeded() float64 {
	l.t.Helper()
	return metricsOf(l.t, l.ip).Sum("response_total", "direction", "outbound", "classification", "success")
}

// failed is how many requests failed until now.
func (l *load) failed() float64 {
	l.t.Helper()
	return metricsOf(l.t, l.ip).Sum("response_total", "direction", "outbound", "classification", "failure")
}

// stop ends the load and gives how many requests had which status; -1 is that
// of requests without an answer.
func (l *load) stop() map[int]int {
	l.t.Helper()
	for _, pid := range l.c.Processes(l.t, l.ns, l.name, "fortio") {
		if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
			l.t.Fatal(err)
		}
	}
	l.c.WaitFor(l.t, l.ns, "pod/"+l.name, "jsonpath={.status.phase}=Succeeded")
	log := l.c.Do(l.t, "logs", "-n", l.ns, l.name, "-c", "fortio")
	_, report, ok := strings.Cut("\n"+log, "\n{\n")
	if !ok {
		l.t.Fatalf("fortio reported nothing:\n%s", log)
	}
	var r struct{ RetCodes map[int]int }
	if err := json.NewDecoder(strings.NewReader("{" + report)).Decode(&r); err != nil {
		l.t.Fatalf("%v in fortio's report:\n%s", err, log)
	}
	return r.RetCodes
}

// mustBeGood ends the load, of which not one request may have failed.
func (l *load) mustBeGood() {
	l.t.Helper()
	why := metricsOf(l.t, l.ip).By("leno_failures_total", "reason")
	codes := l.stop()
	good := codes[http.StatusOK]
	delete(codes, http.StatusOK)
	if good == 0 || len(codes) > 0 {
		l.t.Errorf("%s: %d good requests, others by status: %v; its proxy failed some for %v", l.name, good, codes, why)
	}
	l.t.Logf("%s: %d requests", l.name, good)
}

// metricsOf reads the metrics of a pod's proxy, or gives none when it cannot.
func metricsOf(t *testing.T, ip string) harness.Metrics {
	t.Helper()
	page, err := fetch(t.Context(), "http://"+ip+":4191/metrics")
	if err != nil {
		return nil
	}
	return harness.ParseMetrics(page)
}

func fetch(ctx context.Context, url string) (string, error) {
	ctx, stop := context.WithTimeout(ctx, 10*time.Second)
	defer stop()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return "", err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		err = errors.Join(err, errors.New(resp.Status))
	}
	return string(b), err
}
