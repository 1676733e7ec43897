// Command leno is everything of Leno but the data plane: the command line and,
// as `leno server`, the control plane.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/leno-mesh/leno/cli"
)

// version is set by the linker.
var version = "0.1.0" // set at build time, never written

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := cli.Main(ctx, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, version, os.Args[1:])
	stop()
	os.Exit(code)
}
