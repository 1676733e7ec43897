// Command scale measures a control plane with many proxies: a process of its
// own with the Kubernetes door, an API server that lists and watches as a real
// one does, and simulated proxies with certificates and streams of their own.
// Only the control plane's process is measured.
//
// It talks to loopback addresses only, and ends what it started.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	world
	destinations int
	changes      int
	settle       time.Duration
	watch        time.Duration
	out          string

	serve, config string // of the process that is measured
}

func main() {
	var o options
	flag.IntVar(&o.namespaces, "namespaces", 100, "`number` of namespaces")
	flag.IntVar(&o.services, "services", 10, "`number` of services in each, with one proxy each")
	flag.IntVar(&o.destinations, "destinations", 5, "`number` of services that each proxy calls; all call the first")
	flag.IntVar(&o.changes, "changes", 50, "`number` of changes to the first service's EndpointSlice")
	flag.DurationVar(&o.settle, "settle", 30*time.Second, "how `long` the control plane has after a start, of proxies or of traffic")
	flag.DurationVar(&o.watch, "watch", 20*time.Second, "how `long` the idle control plane is watched")
	flag.StringVar(&o.out, "o", "bench/results/scale.json", "`file` for the results")
	flag.StringVar(&o.serve, "serve", "", "internal: be the control plane with this data `directory`")
	flag.StringVar(&o.config, "kubeconfig", "", "internal: how the control plane finds the API server")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	var err error
	switch {
	case o.serve != "":
		err = serve(ctx, o.world, o.config, o.serve)
	case o.destinations < 1 || o.destinations > o.pods() || o.changes < 1 || o.pods() < 2 || o.pods() > 60_000:
		err = fmt.Errorf("%d services, %d destinations, %d changes: want 2 to 60,000 services, no more destinations than services, and 1 change",
			o.pods(), o.destinations, o.changes)
	default:
		err = measure(ctx, o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}
