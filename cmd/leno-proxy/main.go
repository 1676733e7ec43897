// Command leno-proxy is Leno's data plane: the proxy beside one workload.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker.
var version = "0.1.0" // set at build time, never written

const usage = `leno-proxy is the proxy beside one workload.

Usage:
  leno-proxy run      run the proxy
  leno-proxy init     capture the traffic of this network namespace
  leno-proxy ready    say whether the proxy here is ready, or what it waits for
  leno-proxy version  print the version

Add --help to a command to see its options.
`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := command(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "leno-proxy:", err)
		os.Exit(1)
	}
}

func command(ctx context.Context, args []string) error {
	if len(args) == 0 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	switch args[0] {
	case "run":
		return run(ctx, args[1:])
	case "init":
		return initialize(ctx, args[1:])
	case "ready":
		return ready(ctx, args[1:])
	case "version", "--version":
		fmt.Println(version)
		return nil
	case "help", "--help", "-h":
		fmt.Print(usage)
		return nil
	}
	return fmt.Errorf("unknown command %q; leno-proxy --help lists them", args[0])
}
