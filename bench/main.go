// Command bench measures Leno beside HAProxy, Envoy and nginx: the same backend, the
// same load, one run. Every scenario's processes stay up while rounds of load
// go from one scenario to the next, so that whatever else the machine does
// falls on all of them; what is reported are medians over the rounds.
//
// It talks to loopback addresses only, and ends what it started.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/leno-mesh/leno/cli/child"
)

// options are what the command line says.
type options struct {
	root      string // of the source tree
	fortio    string
	envoy     string
	scenarios string
	loads     string
	quick     bool
	idle      string
	out       string
	rounds    int
	length    time.Duration
	rest      time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", ".", "`directory` of the source tree, with bin/leno and bin/leno-proxy built")
	flag.StringVar(&o.fortio, "fortio", "fortio", "the fortio `program`")
	flag.StringVar(&o.envoy, "envoy", "envoy", "the envoy `program`")
	flag.StringVar(&o.loads, "loads", "", "`names` of the loads, separated by commas (default all)")
	flag.BoolVar(&o.quick, "quick", false, "the short form: the main loads and peers only")
	flag.StringVar(&o.idle, "idle", "1000,10000", "`numbers` of idle connections whose memory is measured, separated by commas")
	flag.StringVar(&o.scenarios, "scenarios", "", "`names` to run, separated by commas (default all)")
	flag.StringVar(&o.out, "o", "bench/results/latest.json", "`file` for the results")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds over all scenarios")
	flag.DurationVar(&o.length, "length", 4*time.Second, "length of each load")
	flag.DurationVar(&o.rest, "rest", 70*time.Second, "how long all are left alone before idle memory is measured")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	scenarios, err := choose(o)
	if err != nil {
		return err
	}
	tools, err := findTools(o, scenarios)
	if err != nil {
		return err
	}
	root, err := filepath.Abs(o.root)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "leno-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// The proxies give up root and must still reach their own directories.
	if err := os.Chmod(dir, 0o711); err != nil {
		return err
	}
	family := child.NewFamily()
	defer family.Close()
	s := &site{root: root, dir: dir, tools: tools, family: family}
	err = s.up(ctx, scenarios)
	if err == nil {
		err = measure(ctx, s, scenarios, o)
	}
	s.down()
	return err
}

// pause lets every process come to rest, as one that has nothing to do does.
func pause(ctx context.Context, d time.Duration) error {
	if d == 0 {
		return nil
	}
	fmt.Fprintf(os.Stderr, "resting for %s\n", d)
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// measure runs the rounds, prints the table and writes the results.
func measure(ctx context.Context, s *site, scenarios []*scenario, o options) error {
	loads, err := chooseLoads(o)
	if err != nil {
		return err
	}
	if err := pause(ctx, o.rest); err != nil {
		return err
	}
	all := make([]samples, len(scenarios))
	for i, sc := range scenarios {
		if all[i].idleMB, err = memory(sc.proxies); err != nil {
			return err
		}
		if _, err = wrk(64, "/")(ctx, s, sc.at(kindHTTP1), time.Second); err != nil { // warms up
			return fmt.Errorf("%s: %w", sc.name, err)
		}
	}
	for round := range o.rounds {
		for _, l := range loads {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, o.rounds, l.what)
			for i, sc := range scenarios {
				if o.quick && !targeted(sc, l) {
					continue
				}
				if err := all[i].add(ctx, s, sc, l, o.length); err != nil {
					return fmt.Errorf("%s: %s: %w", sc.name, l.name, err)
				}
			}
		}
	}
	for i, sc := range scenarios {
		if err := all[i].idle(ctx, sc, o.idle); err != nil {
			return fmt.Errorf("%s: %w", sc.name, err)
		}
	}
	r := results{Rounds: o.rounds, Seconds: o.length.Seconds(), Rest: o.rest.Seconds(), Versions: versions(ctx, s.tools), Scenarios: make(map[string]figures)}
	for i, sc := range scenarios {
		r.Scenarios[sc.name] = all[i].medians()
	}
	r.compare()
	r.judge()
	r.print(os.Stdout, scenarios, loads)
	return r.write(o.out)
}

// choose gives the scenarios that the options name.
func choose(o options) ([]*scenario, error) {
	return pick("scenario", everyScenario(), o.scenarios, func(sc *scenario) (string, bool) { return sc.name, sc.quick || !o.quick })
}

// chooseLoads gives the loads that the options name.
func chooseLoads(o options) ([]load, error) {
	return pick("load", everyLoad(), o.loads, func(l load) (string, bool) { return l.name, l.quick || !o.quick })
}

// pick gives what a list of names says; without a list, what is there by
// itself.
func pick[T any](what string, all []T, names string, of func(T) (name string, byItself bool)) ([]T, error) {
	var chosen []T
	if names == "" {
		for _, x := range all {
			if _, is := of(x); is {
				chosen = append(chosen, x)
			}
		}
		return chosen, nil
	}
	for want := range strings.SplitSeq(names, ",") {
		i := slices.IndexFunc(all, func(x T) bool { name, _ := of(x); return name == want })
		if i < 0 {
			var known []string
			for _, x := range all {
				name, _ := of(x)
				known = append(known, name)
			}
			return nil, fmt.Errorf("no %s %q; there are %s", what, want, strings.Join(known, ", "))
		}
		chosen = append(chosen, all[i])
	}
	return chosen, nil
}
