package kube

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/cockroachdb/datadriven"
	"go.uber.org/goleak"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/control/compile"
	"github.com/leno-mesh/leno/control/compile/compiletest"
	"github.com/leno-mesh/leno/mesh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestScripts runs the text scripts in testdata against a cluster of client-go's
// fakes. Commands:
//
//	apply                  makes the objects of the YAML below, or changes them
//	delete KIND/NS/NAME    (KIND/NAME for what has no namespace)
//	kinds [HTTPRoute] [AccessPolicy]   the cluster has these from now on
//	networks               the operator's, one a line; before anything else
//	wait DURATION
//	sync                   says whether the door has synced
//	away, back             the API server goes and comes again
//	inbound UID            prints the workload's own snapshot
//	destination HOST:PORT [from=NAMESPACE]
//	workloads, status, missed, checks
//
// Time is that of testing/synctest, so that a command sees all that follows
// from the one before. go test -rewrite writes what came out.
func TestScripts(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			defer func() { w.stop() }() // set once the door is open
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
				out, err := w.run(d)
				if err != nil {
					return "error: " + err.Error() + "\n"
				}
				return out
			})
		})
	})
}

// world is a cluster, a catalog and the door between them.
type world struct {
	t        *testing.T
	cluster  *cluster
	catalog  *catalog.Catalog
	door     *Door
	networks []netip.Prefix
	stop     func()
}

func newWorld(t *testing.T) *world {
	return &world{t: t, cluster: newCluster(), stop: func() {}}
}

// open starts the door with the first command that needs it.
func (w *world) open() {
	if w.door != nil {
		return
	}
	w.catalog = catalog.New(catalog.Config{
		Settings: catalog.Settings{TrustDomain: "cluster.local", ClusterDomain: "cluster.local"},
		Doors:    []string{DoorName}, Start: mesh.Version{Epoch: 1},
	})
	w.door = New(Config{
		Client: w.cluster.core, Dynamic: w.cluster.custom, Catalog: w.catalog,
		TrustDomain: "cluster.local", Networks: w.networks, Log: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 2)
	go func() { done <- w.catalog.Run(ctx) }()
	go func() { done <- w.door.Run(ctx) }()
	w.stop = func() {
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				w.t.Errorf("run: %v", err)
			}
		}
	}
	synctest.Wait()
}

func (w *world) run(d *datadriven.TestData) (string, error) {
	switch d.Cmd {
	case "networks":
		for _, s := range strings.Fields(d.Input) {
			w.networks = append(w.networks, netip.MustParsePrefix(s))
		}
		return "ok\n", nil
	case "apply", "delete", "kinds", "away", "back", "wait":
		return w.cluster.run(d)
	}
	w.open()
	synctest.Wait()
	ix := w.catalog.View()
	switch d.Cmd {
	case "sync":
		select {
		case <-w.catalog.Synced():
			return "synced\n", nil
		default:
			return "not synced\n", nil
		}
	case "inbound":
		in, ok := compile.Inbound(ix, mesh.WorkloadID(d.CmdArgs[0].Key))
		if !ok {
			return "no such workload\n", nil
		}
		return compiletest.Inbound(in), nil
	case "destination":
		return destination(ix, d)
	case "workloads":
		return workloads(ix), nil
	case "status":
		return printStatus(w.door.Status()), nil
	case "checks":
		var b strings.Builder
		for _, c := range w.door.Checks() {
			fmt.Fprintf(&b, "%s %s: %s\n", c.Result, c.Description, c.Error)
		}
		return b.String(), nil
	case "missed":
		return strings.Join(w.door.Missed(), "\n") + "\n", nil
	default:
		return "", fmt.Errorf("no command %q", d.Cmd)
	}
}

func destination(ix *catalog.Index, d *datadriven.TestData) (string, error) {
	caller := compile.Caller{Namespace: "shop"}
	for _, a := range d.CmdArgs[1:] {
		if a.Key == "from" {
			caller.Namespace = a.Vals[0]
		}
	}
	t := mesh.Target{}
	if a, err := netip.ParseAddrPort(d.CmdArgs[0].Key); err == nil {
		t.Addr, t.Port = a.Addr(), a.Port()
	} else {
		host, port, _ := strings.Cut(d.CmdArgs[0].Key, ":")
		t.Host = host
		if _, err := fmt.Sscan(port, &t.Port); err != nil {
			return "", err
		}
	}
	dest, _ := compile.Destination(ix, caller, t)
	return compiletest.Destination(dest), nil
}

func workloads(ix *catalog.Index) string {
	var b strings.Builder
	for _, w := range ix.Workloads() {
		fmt.Fprintf(&b, "%s %s %v zone=%s node=%s owner=%s %s\n", w.ID, w.Registration.Name, w.Addresses(), w.Registration.Zone, w.Node, w.Owner, w.State)
	}
	return b.String()
}

func printStatus(s Status) string {
	var b strings.Builder
	fmt.Fprintf(&b, "synced=%v missing=%v strays=%d\n", !s.Synced.IsZero(), s.Missing, s.Strays)
	for _, p := range s.Problems {
		fmt.Fprintf(&b, "%s kept=%v: %s\n", p.Object, p.Kept, p.Message)
	}
	for _, k := range []string{"AccessPolicy", "EndpointSlice", "HTTPRoute", "Namespace", "Node", "Pod", "Service"} {
		if why, ok := s.Lost[k]; ok {
			fmt.Fprintf(&b, "lost %s: %s\n", k, why)
		}
	}
	return b.String()
}
