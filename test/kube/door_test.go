package kube_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/control/compile"
	door "github.com/leno-mesh/leno/kube"
	"github.com/leno-mesh/leno/kube/kubeconfig"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/test/kube"
)

// meshed has pods with something in the proxy's place: the door asks only
// whether it is in the spec. The target port of the Service is a name.
const meshed = `
apiVersion: apps/v1
kind: Deployment
metadata:
  name: meshed
spec:
  replicas: 2
  selector:
    matchLabels: {app: meshed}
  template:
    metadata:
      labels: {app: meshed}
    spec:
      terminationGracePeriodSeconds: 1 # sleep does not end by itself
      initContainers:
      - {name: leno-proxy, image: localhost/tools:test, command: [sleep, infinity], restartPolicy: Always}
      containers:
      - name: echo
        image: localhost/fortio:test
        args: [server]
        ports: [{name: web, containerPort: 8080}]
        readinessProbe: {httpGet: {path: /fortio/, port: web}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata:
  name: meshed
spec:
  selector: {app: meshed}
  ports:
  - {name: http, port: 80, targetPort: web}
---
apiVersion: v1
kind: Service
metadata:
  name: headless
spec:
  clusterIP: None
  selector: {app: meshed}
  ports:
  - {name: http, port: 8080}
`

// TestDoor has the door follow a real cluster: pods in and out of the mesh, a
// rollout, and an API server that is away for a while.
func TestDoor(t *testing.T) {
	c := kube.Shared(t)
	c.Fortio(t)
	c.Software(t, "tools")
	ns := c.Namespace(t, "door")
	c.Apply(t, ns, meshed)
	c.Apply(t, ns, echo)
	c.WaitReady(t, ns, "deployment/meshed", "deployment/echo", "pod/client")
	w := openDoor(t, c)

	t.Run("a service of meshed pods", func(t *testing.T) { w.follows(t, c, ns, "meshed", "meshed:80", true) })
	t.Run("a headless service", func(t *testing.T) { w.follows(t, c, ns, "meshed", "headless:8080", true) })
	t.Run("a service outside the mesh", func(t *testing.T) { w.follows(t, c, ns, "echo", "echo:80", false) })
	t.Run("addresses", func(t *testing.T) { w.addresses(t, c, ns) })
	t.Run("a rollout", func(t *testing.T) {
		before := pods(t, c, ns, "meshed")
		c.Do(t, "rollout", "restart", "-n", ns, "deployment/meshed")
		c.WaitReady(t, ns, "deployment/meshed")
		w.follows(t, c, ns, "meshed", "meshed:80", true)
		for uid := range before {
			if w.catalog.View().Workload(mesh.WorkloadID(uid)) != nil {
				kube.Wait(t, "the end of pod "+uid, func() string {
					if w.catalog.View().Workload(mesh.WorkloadID(uid)) != nil {
						return "still there"
					}
					return ""
				})
			}
		}
	})
	t.Run("an API server that is away", func(t *testing.T) {
		w.wire.cut()
		c.Do(t, "scale", "-n", ns, "deployment/meshed", "--replicas=1")
		c.Do(t, "delete", "service", "-n", ns, "echo")
		c.WaitReady(t, ns, "deployment/meshed")
		kube.Wait(t, "the door to notice", func() string {
			if len(w.door.Status().Lost) == 0 {
				return "no watch is lost"
			}
			return ""
		})
		if got := w.endpoints(ns, "echo:80"); len(got) != 2 {
			t.Errorf("while the server is away, echo has %v", got)
		}
		w.wire.mend()
		w.follows(t, c, ns, "meshed", "meshed:80", true)
		kube.Wait(t, "the end of echo", func() string { return strings.Join(w.endpoints(ns, "echo:80"), " ") })
	})
}

// doorway is a door to the cluster with the catalog behind it.
type doorway struct {
	catalog *catalog.Catalog
	door    *door.Door
	wire    *wire
}

func openDoor(t *testing.T, c *kube.Cluster) *doorway {
	config, err := clientcmd.BuildConfigFromFlags("", c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	w := &doorway{wire: &wire{}}
	config.Dial = w.wire.dial
	// With files the client would look for new ones as long as the process lives.
	if err := rest.LoadTLSFiles(config); err != nil {
		t.Fatal(err)
	}
	config.CertFile, config.KeyFile, config.CAFile = "", "", ""
	access, err := kubeconfig.New(config)
	if err != nil {
		t.Fatal(err)
	}
	w.catalog = catalog.New(catalog.Config{
		Settings: catalog.Settings{TrustDomain: "cluster.local", ClusterDomain: "cluster.local"}, Doors: []string{door.DoorName},
	})
	w.door = door.New(door.Config{
		Client: access.Client, Dynamic: access.Dynamic, Catalog: w.catalog, TrustDomain: "cluster.local",
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	ctx, stop := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for _, run := range []func(context.Context) error{w.catalog.Run, w.door.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		w.wire.cut()
		stop()
		running.Wait()
	})
	kube.Wait(t, "the first listing", func() string {
		select {
		case <-w.catalog.Synced():
			return ""
		default:
			return "not synced"
		}
	})
	return w
}

// wire is the way to the API server, which can be cut.
type wire struct {
	mu    sync.Mutex
	down  bool       // guarded by mu
	conns []net.Conn // guarded by mu
}

var errCut = errors.New("the wire is cut")

func (w *wire) dial(ctx context.Context, network, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.down {
		return nil, errCut
	}
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err == nil {
		w.conns = append(w.conns, c)
	}
	return c, err
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = true
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = false
}

// pods gives the ready pods of an app: their addresses by UID.
func pods(t testing.TB, c *kube.Cluster, ns, app string) map[string]netip.Addr {
	t.Helper()
	var list struct {
		Items []struct {
			Metadata struct{ UID, DeletionTimestamp string }
			Status   struct{ PodIP string }
		}
	}
	c.Get(t, &list, "pods", "-n", ns, "-l", "app="+app)
	all := make(map[string]netip.Addr)
	for _, p := range list.Items {
		if a, err := netip.ParseAddr(p.Status.PodIP); err == nil && p.Metadata.DeletionTimestamp == "" {
			all[p.Metadata.UID] = a
		}
	}
	return all
}

func (w *doorway) destination(ns, target string) *mesh.Destination {
	host, port, _ := strings.Cut(target, ":")
	t := mesh.Target{Host: host}
	if a, err := netip.ParseAddr(host); err == nil {
		t = mesh.Target{Addr: a}
	}
	if _, err := fmt.Sscan(port, &t.Port); err != nil {
		panic(err)
	}
	d, _ := compile.Destination(w.catalog.View(), compile.Caller{Namespace: ns}, t)
	return d
}

// endpoints gives the endpoints that take requests, each as "ADDRESS WORKLOAD".
func (w *doorway) endpoints(ns, target string) (all []string) {
	d := w.destination(ns, target)
	if d.Default < 0 {
		return nil
	}
	for _, e := range d.Sets[d.Default].Endpoints {
		if e.State == mesh.Ready {
			all = append(all, e.Addr.String()+" "+string(e.Workload))
		}
	}
	slices.Sort(all)
	return all
}

// follows waits until a service is what the API server says its pods are.
func (w *doorway) follows(t *testing.T, c *kube.Cluster, ns, app, target string, meshed bool) {
	t.Helper()
	kube.Wait(t, target+" to be its pods", func() string {
		var want []string
		for uid, a := range pods(t, c, ns, app) {
			if !meshed {
				uid = ""
			}
			want = append(want, netip.AddrPortFrom(a, 8080).String()+" "+uid)
		}
		slices.Sort(want)
		if got := w.endpoints(ns, target); !slices.Equal(got, want) {
			return fmt.Sprintf("got %q, want %q", got, want)
		}
		return ""
	})
}

// addresses asks for what is not called by a Service's name.
func (w *doorway) addresses(t *testing.T, c *kube.Cluster, ns string) {
	networks := w.catalog.View().Settings().Networks
	inside := func(what string, a netip.Addr) {
		t.Helper()
		if !slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) }) {
			t.Errorf("%s %s is in none of %v", what, a, networks)
		}
	}
	reached := func(what, target string, meshed bool) {
		t.Helper()
		d := w.destination(ns, target)
		if d.Default < 0 || d.Sets[d.Default].Endpoints[0].Meshed() != meshed {
			t.Errorf("%s %s: %+v", what, target, d)
		}
	}
	for _, a := range pods(t, c, ns, "meshed") {
		inside("pod", a)
		reached("any port of a meshed pod", a.String()+":7777", true)
		reached("its proxy's own pages", a.String()+":4191", false)
	}
	for _, a := range pods(t, c, ns, "echo") {
		inside("pod", a)
		reached("any port of another pod", a.String()+":7777", false)
	}
	clusterIP := netip.MustParseAddr(c.Do(t, "get", "service", "meshed", "-n", ns, "-o", "jsonpath={.spec.clusterIP}"))
	inside("cluster IP", clusterIP)
	reached("cluster IP", clusterIP.String()+":80", true)
	reached("API server", "kubernetes.default.svc.cluster.local:443", false)
	for node := range strings.FieldsSeq(c.Do(t, "get", "nodes", "-o", `jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}`)) {
		reached("NodePort", node+":30080", false)
		a := netip.MustParseAddr(node)
		if slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) }) {
			t.Errorf("node %s is in the mesh's networks %v", node, networks)
		}
	}
	if n := w.door.Status().Strays; n != 0 {
		t.Errorf("%d pods are outside of %v", n, networks)
	}
}
