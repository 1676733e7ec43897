package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/cli/child"
	"github.com/leno-mesh/leno/cli/local"
	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/mesh"
)

// runOptions are the flags of leno run.
type runOptions struct {
	service, namespace, account, name, app string
	port, target                           int
	upstreams                              []string
	quiet                                  bool
}

const runHelp = `Run a process with a proxy beside it, in the mesh of this machine. If no control
plane of this user runs, one is started; leno stop ends it, and it ends by itself
15 minutes after the last proxy left.

Others reach the process by the name of its service. The process reaches others
by name because http_proxy is set for it: curl http://payments:8080/ goes to the
service payments, over mutual TLS.

These use the variable by themselves: curl, wget, Python (requests, urllib, httpx),
Go (net/http, but never for localhost), Ruby (net/http), Perl (LWP), PHP with curl,
Node.js from 24 with NODE_USE_ENV_PROXY=1. Java does not: give it -Dhttp.proxyHost
and -Dhttp.proxyPort. For everything else, and for protocols that are not HTTP,
--upstream gives a local port that leads to a service.

The exit status is that of the process. All processes of one user are one trust
boundary: any of them could use the identity of any other.`

func newRunCmd(a *app) *cobra.Command {
	var o runOptions
	cmd := &cobra.Command{
		Use:   "run [--service NAME --port PORT] -- COMMAND [ARG]...",
		Short: "Run a process with a proxy beside it",
		Long:  runHelp,
		Example: `  leno run --service api --port 8080 -- ./my-api
  leno run -- curl http://api:8080/
  leno run --service web --port 80 --app-port 3000 --upstream db=127.0.0.1:5432 -- npm start`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &ExitError{Code: 2, Text: "nothing to run; put the command behind --, as in: leno run --service api --port 8080 -- ./my-api"}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.complete(args[0]); err != nil {
				return err
			}
			return a.run(cmd.Context(), &o, args)
		},
	}
	f := cmd.Flags()
	f.SetInterspersed(false) // what follows the command's name is the command's
	f.StringVar(&o.service, "service", "", "name by which others call the process; none for a client alone")
	f.IntVar(&o.port, "port", 0, "port at which others call it")
	f.IntVar(&o.target, "app-port", 0, "port at which the process listens, if not --port")
	f.StringVar(&o.app, "app-address", "127.0.0.1", "address at which the process listens")
	f.StringVarP(&o.namespace, "namespace", "n", "default", "namespace of the service")
	f.StringVar(&o.account, "service-account", "", "service account of the identity (default the service, or the command's name)")
	f.StringVar(&o.name, "name", "", "name of the instance (default the service and a number)")
	f.StringArrayVar(&o.upstreams, "upstream", nil, "`NAME[:PORT]=IP:PORT`: a local port that leads to a service, for any protocol; may be given again")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "say nothing but errors")
	return cmd
}

// complete fills what was not given, and says what cannot be.
func (o *runOptions) complete(command string) error {
	wrong := func(format string, args ...any) error {
		return &ExitError{Code: 2, Text: fmt.Sprintf(format, args...)}
	}
	switch {
	case o.service == "" && (o.port != 0 || o.target != 0):
		return wrong("--port without --service; give the name by which others call the process")
	case o.service != "" && !mesh.ValidName(o.service):
		return wrong("--service %q is not a name; want lower-case letters, digits and dashes", o.service)
	case o.service != "" && (o.port < 1 || o.port > 65535):
		return wrong("--service %s needs a --port from 1 to 65535, at which others call it", o.service)
	case o.target < 0 || o.target > 65535:
		return wrong("--app-port %d; want 1 to 65535", o.target)
	}
	if o.account == "" {
		o.account = o.service
	}
	if o.account == "" {
		o.account = nameOf(command)
	}
	if o.name == "" {
		o.name = fmt.Sprintf("%s-%d", o.account, os.Getpid())
	}
	return nil
}

// nameOf makes a valid name of a command's, "my-tool" of "/opt/My_tool.sh".
func nameOf(command string) string {
	base, _, _ := strings.Cut(strings.ToLower(filepath.Base(command)), ".")
	name := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, base), "-")
	if !mesh.ValidName(name) {
		return "client"
	}
	return name
}

// services are what the proxy offers for the process.
func (o *runOptions) services() []string {
	if o.service == "" {
		return nil
	}
	s := servicePort(o.service, o.port)
	if o.target != 0 {
		s = fmt.Sprintf("%s:%d", s, o.target)
	}
	return []string{s}
}

// run joins the mesh, runs the command in it, and leaves.
func (a *app) run(ctx context.Context, o *runOptions, command []string) (err error) {
	path, err := exec.LookPath(command[0])
	if err != nil {
		return &ExitError{Code: 127, Text: fmt.Sprintf("%v; what should run is the first word behind --", err)}
	}
	program, err := findProgram("leno-proxy")
	if err != nil {
		return err
	}
	scratch, err := local.NewScratch(runtimeDir(), "run-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, scratch.Close()) }()
	family := child.NewFamily()
	defer family.Close()

	side := &sidecar{
		Name: o.name, Namespace: o.namespace, Account: o.account, Services: o.services(), Upstreams: o.upstreams,
		App: o.app, Dir: scratch.Path,
	}
	k := &keeper{a: a, family: family, side: side, program: program}
	if err := a.enterMesh(ctx, o, k); err != nil {
		return err
	}
	return k.run(ctx, a.appSpec(path, command, side))
}

// appSpec is the command in its own environment, with our terminal.
func (a *app) appSpec(path string, command []string, side *sidecar) child.Spec {
	return child.Spec{
		Name: command[0], Path: path, Args: command[1:], Env: proxyVariables(os.Environ(), side.outbound()),
		Stdin: a.In, Stdout: a.Out, Stderr: a.Err, Shared: true, Orphaned: orphanedApp,
	}
}

// enterMesh finds the control plane or starts it, and starts the proxy. All of
// it happens under one lock, so that no control plane stops and no other takes
// the address meanwhile.
func (a *app) enterMesh(ctx context.Context, o *runOptions, k *keeper) error {
	if err := local.PrivateDir(runtimeDir()); err != nil {
		return err
	}
	lock, err := local.Acquire(local.LockPath(ownSocket()))
	if err != nil {
		return err
	}
	defer lock.Release()
	socket := a.socketPath()
	st, err := a.plane(ctx, socket, o.quiet)
	if err != nil {
		return err
	}
	side := k.side
	if side.Addr, err = local.FreeAddress(side.Namespace+"/"+side.Name, outboundPort, inboundPort, adminPort); err != nil {
		return err
	}
	c := operator.NewClient(socket)
	defer c.Close()
	if err := side.join(ctx, c); err != nil {
		return err
	}
	if err := k.start(); err != nil {
		return err
	}
	if err := side.ready(ctx, k.proxy); err != nil {
		return err
	}
	if !o.quiet {
		id := mesh.NewIdentity(mesh.TrustDomain(st.TrustDomain), side.Namespace, side.Account)
		fmt.Fprintf(a.Err, "leno: %s is in the mesh as %s\n", side.Name, id)
	}
	return nil
}

// plane gives the control plane at the socket. One of this user's own is
// started if need be; one that was named must be there.
func (a *app) plane(ctx context.Context, socket string, quiet bool) (operator.Status, error) {
	if socket != ownSocket() {
		c := operator.NewClient(socket)
		defer c.Close()
		return c.Status(ctx)
	}
	state, err := stateDir()
	if err != nil {
		return operator.Status{}, err
	}
	self, err := os.Executable()
	if err != nil {
		return operator.Status{}, err
	}
	p := local.Plane{Program: self, Socket: socket, StateDir: state}
	st, started, err := p.Ensure(ctx)
	if started && err == nil && !quiet {
		fmt.Fprintf(a.Err, "leno: started your control plane (process %d, data in %s).\n", st.PID, state)
		fmt.Fprintf(a.Err, "leno: it stops by itself %d minutes after the last proxy left, or with: leno stop\n", int(local.IdleStop/time.Minute))
	}
	return st, err
}
