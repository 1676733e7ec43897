// Command bench measures Leno beside HAProxy and nginx: the same backend, the
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
	"strings"
	"syscall"
	"time"

	"github.com/leno-mesh/leno/cli/child"
)

// options are what the command line says.
type options struct {
	root      string // of the source tree
	fortio    string
	scenarios string
	out       string
	rounds    int
	length    time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.root, "root", ".", "`directory` of the source tree, with bin/leno and bin/leno-proxy built")
	flag.StringVar(&o.fortio, "fortio", "fortio", "the fortio `program`")
	flag.StringVar(&o.scenarios, "scenarios", "", "`names` to run, separated by commas (default all)")
	flag.StringVar(&o.out, "o", "bench/results/latest.json", "`file` for the results")
	flag.IntVar(&o.rounds, "rounds", 5, "rounds over all scenarios")
	flag.DurationVar(&o.length, "length", 4*time.Second, "length of each load")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	scenarios, err := choose(o.scenarios)
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

// measure runs the rounds, prints the table and writes the results.
func measure(ctx context.Context, s *site, scenarios []*scenario, o options) error {
	var err error
	all := make([]samples, len(scenarios))
	for i, sc := range scenarios {
		if all[i].idleMB, err = memory(sc.proxies); err != nil {
			return err
		}
		if _, err = s.wrk(ctx, sc.target, time.Second); err != nil { // warms up
			return fmt.Errorf("%s: %w", sc.name, err)
		}
	}
	for round := range o.rounds {
		for i, sc := range scenarios {
			fmt.Fprintf(os.Stderr, "round %d of %d: %s\n", round+1, o.rounds, sc.name)
			if err := all[i].add(ctx, s, sc, o.length); err != nil {
				return fmt.Errorf("%s: %w", sc.name, err)
			}
		}
	}
	r := results{Rounds: o.rounds, Seconds: o.length.Seconds(), Versions: versions(ctx, s.tools), Scenarios: make(map[string]figures)}
	for i, sc := range scenarios {
		r.Scenarios[sc.name] = all[i].medians()
	}
	r.compare()
	r.print(os.Stdout, scenarios)
	return r.write(o.out)
}

// choose gives the scenarios of a list of names.
func choose(names string) ([]*scenario, error) {
	all := everyScenario()
	if names == "" {
		return all, nil
	}
	var chosen []*scenario
	for name := range strings.SplitSeq(names, ",") {
		found := false
		for _, sc := range all {
			if sc.name == name {
				chosen, found = append(chosen, sc), true
			}
		}
		if !found {
			return nil, fmt.Errorf("no scenario %q; there are %s", name, strings.Join(namesOf(all), ", "))
		}
	}
	return chosen, nil
}

func namesOf(all []*scenario) []string {
	var names []string
	for _, sc := range all {
		names = append(names, sc.name)
	}
	return names
}
