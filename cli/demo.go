package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/cli/child"
	"github.com/leno-mesh/leno/cli/local"
	"github.com/leno-mesh/leno/control/operator"
)

// demoOptions are the flags of leno demo.
type demoOptions struct {
	duration time.Duration
	format   string
	cluster  bool
}

func newDemoCmd(a *app) *cobra.Command {
	var o demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run a small shop in the mesh, on this machine or in a cluster",
		Long: `Run a small shop: five services as real processes, each with its own proxy process
and its own loopback address, a control plane, and a load generator. The services
are plain HTTP programs; they find each other by name because http_proxy leads to
their proxy, and everything between them is encrypted and measured.

payments fails 3 % of its calls, and recommendations is slow in 5 % of them. Ctrl-C
ends every process and leaves nothing behind.

With --kubernetes the shop runs in the cluster of the current context, where Leno is
installed: in a namespace of its own, leno-demo, which is gone when the demo ends.
One that is there already is taken for the rest of a demo that was cut off, and goes.

With --duration and -o json it prints one JSON object at the end. The exit status is
1 when an edge was not secured or a process died.`,
		Example: `  leno demo
  leno demo --kubernetes
  leno demo --kubernetes --duration 30s -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case o.format != "table" && o.format != "json":
				return &ExitError{Code: 2, Text: fmt.Sprintf("-o %q is not known; want table or json", o.format)}
			case o.duration < 0 || o.duration > 0 && o.duration < 5*time.Second:
				return &ExitError{Code: 2, Text: "--duration must be at least 5s, so that there is something to measure"}
			case o.format == "json" && o.duration == 0:
				return &ExitError{Code: 2, Text: "-o json needs a --duration; it prints one object at the end"}
			}
			if o.cluster {
				return a.demoInCluster(cmd.Context(), &o)
			}
			return a.demo(cmd.Context(), &o)
		},
	}
	cmd.Flags().DurationVar(&o.duration, "duration", 0, "end after so long (default when interrupted)")
	cmd.Flags().StringVarP(&o.format, "output", "o", "table", "table or json")
	cmd.Flags().BoolVar(&o.cluster, "kubernetes", false, "run it in the cluster of the current context")
	return cmd
}

// demo runs the shop, shows it, and takes it down again.
func (a *app) demo(ctx context.Context, o *demoOptions) (err error) {
	proxy, err := findProgram("leno-proxy")
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	scratch, err := local.NewScratch(runtimeDir(), "demo-")
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, scratch.Close())
	}()
	socket := filepath.Join(scratch.Path, "leno.sock")
	s := &stage{app: a, self: self, proxy: proxy, dir: scratch.Path, socket: socket, family: child.NewFamily(), client: operator.NewClient(socket)}
	defer s.client.Close()
	defer s.family.Close()
	defer s.stop()
	if err := s.start(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // interrupted: that is no error
		}
		return err
	}
	return a.perform(ctx, s, o)
}

// scene is a shop that runs, and what one can ask about it.
type scene interface {
	// measure gives what was seen in the time before now. The error may be
	// that something died.
	measure(ctx context.Context, over time.Duration) (demoNumbers, error)
	// deaths tells of everything that dies, as soon as it does, where that can
	// be known. May be nil.
	deaths() <-chan error
	// hints are commands to try from another terminal.
	hints() string
}

// perform shows what runs, in the form that was asked for.
func (a *app) perform(ctx context.Context, s scene, o *demoOptions) error {
	if o.format == "json" {
		return a.demoOnce(ctx, s, o.duration)
	}
	return a.demoLive(ctx, s, o.duration)
}

// demoLive shows the numbers each second until it is interrupted, the time is
// over or a process dies.
func (a *app) demoLive(ctx context.Context, s scene, limit time.Duration) error {
	begin := time.Now()
	every := 5 * time.Second
	if isTerminal(a.Out) {
		every = time.Second
	} else {
		fmt.Fprintf(a.Out, "The shop runs. From another terminal:\n%s\n", s.hints())
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	var over <-chan time.Time
	if limit > 0 {
		over = time.After(limit)
	}
	last := demoNumbers{}
	for {
		select {
		case <-ctx.Done():
			return last.verdict()
		case <-over:
			return last.verdict()
		case err := <-s.deaths():
			return err
		case <-tick.C:
		}
		n, err := s.measure(ctx, min(window, time.Since(begin)))
		if err != nil {
			if ctx.Err() != nil {
				return last.verdict()
			}
			return err
		}
		last = n
		if err := a.showDemo(s, &n, time.Since(begin)); err != nil {
			return err
		}
	}
}

// demoOnce lets the shop run for a time and prints what was measured.
func (a *app) demoOnce(ctx context.Context, s scene, limit time.Duration) error {
	select {
	case <-ctx.Done():
		return &ExitError{Code: 1, Text: "interrupted before the time was over; nothing was printed"}
	case err := <-s.deaths():
		return err
	case <-time.After(limit):
	}
	n, err := s.measure(ctx, limit)
	if err != nil {
		return err
	}
	if err := printJSON(a.Out, n.report()); err != nil {
		return err
	}
	return errors.Join(n.verdict(), n.missing())
}

// newDemoAppCmd is one process of the shop.
func newDemoAppCmd(a *app) *cobra.Command {
	var name, listen string
	cmd := &cobra.Command{
		Use: "demo-app", Short: "One service of the demo", Hidden: true, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runDemoApp(cmd.Context(), name, listen)
		},
	}
	cmd.Flags().StringVar(&name, "name", "", "service to play")
	cmd.Flags().StringVar(&listen, "listen", "", "address to listen at")
	return cmd
}

// patience ends all waiting when the person who waits asks a second time.
func patience() (<-chan os.Signal, func()) {
	again := make(chan os.Signal, 1)
	signal.Notify(again, syscall.SIGINT, syscall.SIGTERM)
	return again, func() { signal.Stop(again) }
}
