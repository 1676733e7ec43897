//go:build linux

package kube_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
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

// caller says what a load is.
type caller struct {
	name string
	// target is a URL, or with gRPC host:port.
	target string
	grpc   bool
	// Where says which node, and annotations what the proxy gets, as the inside
	// of a YAML map. Both may be empty.
	where, annotations string
}

// load is a pod of the mesh that calls 500 times a second until it is told to
// stop.
type load struct {
	caller

	t  *testing.T
	c  *kube.Cluster
	ns string
	ip string // of the pod
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
    args: [load, -quiet, -logger-json=false, -qps, "500", -c, %q, -t, "0", -timeout, 20s, -json, "-", %s]
`

// startLoad starts a load in a namespace of the mesh, and returns when its
// first requests are answered.
func startLoad(t *testing.T, c *kube.Cluster, ns string, from caller) *load {
	t.Helper()
	target := strconv.Quote(from.target)
	if from.grpc {
		target = "-grpc, -ping, " + target
	}
	c.Apply(t, ns, fmt.Sprintf(loadPod, from.name, from.annotations, from.where, strconv.Itoa(connections), target))
	c.WaitReady(t, ns, "pod/"+from.name)
	l := &load{caller: from, t: t, c: c, ns: ns}
	l.ip = c.Do(t, "get", "pod", "-n", ns, l.name, "-o", "jsonpath={.status.podIP}")
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

// stop ends the load and gives how many requests succeeded, and how many did
// not by what fortio calls the outcome; "-1" is no answer.
func (l *load) stop() (good int, bad map[string]int) {
	l.t.Helper()
	for _, pid := range l.c.Processes(l.t, l.ns, l.name, "fortio") {
		if err := syscall.Kill(pid, syscall.SIGINT); err != nil {
			l.t.Fatal(err)
		}
	}
	l.c.WaitFor(l.t, l.ns, "pod/"+l.name, "jsonpath={.status.phase}=Succeeded")
	log := l.c.Do(l.t, "logs", "-n", l.ns, l.name, "-c", "fortio", "--tail=-1")
	// What it says on standard error may stand anywhere in the report, whose
	// lines are braces or indented.
	said := slices.DeleteFunc(strings.Split("\n"+log, "\n"), func(line string) bool {
		return line != "" && line != "{" && line != "}" && !strings.HasPrefix(line, "  ")
	})
	_, report, ok := strings.Cut(strings.Join(said, "\n"), "\n{\n")
	if !ok {
		l.t.Fatalf("fortio reported nothing:\n%s", log)
	}
	var r struct{ RetCodes map[string]int }
	if err := json.NewDecoder(strings.NewReader("{" + report)).Decode(&r); err != nil {
		l.t.Fatalf("%v in fortio's report:\n%s", err, log)
	}
	for _, code := range []string{"200", "SERVING"} {
		good += r.RetCodes[code]
		delete(r.RetCodes, code)
	}
	return good, r.RetCodes
}

// mustBeGood ends the load, of which not one request may have failed.
func (l *load) mustBeGood() {
	l.t.Helper()
	why := metricsOf(l.t, l.ip).By("leno_failures_total", "reason")
	good, bad := l.stop()
	if good == 0 || len(bad) > 0 {
		l.t.Errorf("%s: %d requests succeeded and others did not: %v; its proxy failed some for %v", l.name, good, bad, why)
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
