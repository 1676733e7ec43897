// Command cluster starts real Kubernetes clusters on this machine, for tests
// and for people, and takes them away again:
//
//	cluster up [flags] [IMAGE.tar...]    starts one and leaves it running
//	cluster run [flags] [IMAGE.tar...]   the same, until standard input ends
//	cluster load [-name NAME] IMAGE.tar...
//	cluster down [-name NAME]
//	cluster build                        only builds the programs
//	cluster images -o DIR -version VERSION LENO LENO-PROXY
//
// A cluster has one or more nodes, each a set of namespaces, and a network of
// its own, so that several can run at once. Nothing is changed in the machine
// but a bridge, the nodes' links and routes, control groups, and files below
// /var/tmp/leno-cluster; "down" removes them all. It needs root, Go, and
// Debian's containerd, runc, containernetworking-plugins and iptables.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/leno-mesh/leno/test/cluster/node"
	"github.com/leno-mesh/leno/test/cluster/program"
	"github.com/leno-mesh/leno/test/image"
)

func main() {
	runtime.LockOSThread() // nodes may be tied to the thread that starts them
	node.Main()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

// options are what the command line says.
type options struct {
	name    string
	network string
	nodes   int
	source  string
	out     string
	version string
	rest    []string
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		return errors.New("say what to do: up, run, load, down, build or images")
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	switch args[0] {
	case "up":
		return up(ctx, o)
	case "run":
		return runTied(ctx, o)
	case "load":
		return load(ctx, o)
	case "down":
		return down(o.name)
	case "build":
		dir, err := program.Build(ctx, o.source, os.Stderr)
		fmt.Println(dir)
		return err
	case "images":
		return images(o)
	default:
		return fmt.Errorf("%q is not a command: say up, run, load, down, build or images", args[0])
	}
}

func parse(args []string) (options, error) {
	var o options
	f := flag.NewFlagSet("cluster "+args[0], flag.ContinueOnError)
	f.StringVar(&o.name, "name", "leno", "`name` of the cluster")
	f.StringVar(&o.network, "network", "", "`network` of length 16 to use (default the first free one from 10.210.0.0/16 on)")
	f.IntVar(&o.nodes, "nodes", 1, "`number` of nodes")
	f.StringVar(&o.source, "source", "test/cluster/programs", "`folder` of the programs' module")
	f.StringVar(&o.out, "o", "bin/images", "`folder` for images")
	f.StringVar(&o.version, "version", "dev", "`version` of images")
	err := f.Parse(args[1:])
	o.rest = f.Args()
	return o, err
}

// images writes Leno's own images.
func images(o options) error {
	if len(o.rest) != 2 {
		return errors.New("images: name the binaries of leno and leno-proxy")
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	for name, i := range map[string]image.Image{
		"leno":       image.Leno(o.version, o.rest[0]),
		"leno-proxy": image.Proxy(o.version, o.rest[1]),
	} {
		file := filepath.Join(o.out, name+".tar")
		if err := i.Write(file); err != nil {
			return err
		}
		fmt.Println(file, i.Name)
	}
	return nil
}
