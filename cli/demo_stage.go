package cli

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/leno-mesh/leno/cli/child"
	"github.com/leno-mesh/leno/cli/local"
	"github.com/leno-mesh/leno/cli/shop"
	"github.com/leno-mesh/leno/control/operator"
)

const (
	demoNamespace = "shop"
	serverPort    = 4180
	// endTime is how long each kind of process may take to end.
	endTime = 3 * time.Second
)

// stage is the running demo: all its processes.
type stage struct {
	app         *app
	self, proxy string // programs
	dir, socket string
	family      *child.Family
	server      *child.Process
	actors      []*actor
	died        chan error
	client      *operator.Client
}

// actor is one instance of the shop, with its proxy.
type actor struct {
	service string
	side    *sidecar
	proxy   *child.Process
	program *child.Process
}

// start starts everything in the order in which it is needed: control plane,
// proxies, services, load.
func (s *stage) start(ctx context.Context) error {
	s.cast()
	block, err := local.FreeBlock(len(s.actors)+1, serverPort, outboundPort, inboundPort, adminPort, shop.Port)
	if err != nil {
		return err
	}
	for i, x := range s.actors {
		x.side.Addr = block[i+1]
	}
	s.app.note("Starting a control plane, %d services and %d proxies ...", len(shop.Plan()), len(s.actors))
	if err := s.startServer(ctx, block[0]); err != nil {
		return err
	}
	if err := s.startProxies(ctx); err != nil {
		return err
	}
	for _, x := range s.actors {
		if err := s.startProgram(x); err != nil {
			return err
		}
		if err := s.listens(ctx, x); err != nil {
			return err
		}
	}
	s.watch()
	return nil
}

// cast fills the actors: those who are called first, the load last.
func (s *stage) cast() {
	plan := shop.Plan()
	for i := len(plan) - 1; i >= 0; i-- {
		for n := range plan[i].Instances {
			s.actors = append(s.actors, &actor{service: plan[i].Name, side: &sidecar{
				Name: fmt.Sprintf("%s-%d", plan[i].Name, n+1), Namespace: demoNamespace, Account: plan[i].Name,
				Services: []string{servicePort(plan[i].Name, shop.Port)},
			}})
		}
	}
	s.actors = append(s.actors, &actor{service: shop.Load, side: &sidecar{Name: shop.Load, Namespace: demoNamespace, Account: shop.Load}})
}

func (s *stage) startServer(ctx context.Context, addr netip.Addr) (err error) {
	s.server, err = s.launch(child.Spec{Name: "control plane", Path: s.self, Args: []string{
		"server", "--data-dir", filepath.Join(s.dir, "server"), "--socket", s.socket,
		"--listen", netip.AddrPortFrom(addr, serverPort).String(),
	}})
	if err != nil {
		return err
	}
	return s.until(ctx, s.server, func() bool {
		_, err := s.client.Status(ctx)
		return err == nil
	})
}

func (s *stage) startProxies(ctx context.Context) (err error) {
	for _, x := range s.actors {
		x.side.Dir = filepath.Join(s.dir, x.side.Name)
		if err := local.PrivateDir(x.side.Dir); err != nil {
			return err
		}
		if err := x.side.join(ctx, s.client); err != nil {
			return err
		}
		spec := x.side.spec(s.proxy)
		spec.Orphaned = 0 // at once: nobody is there who would end it
		if x.proxy, err = s.launch(spec); err != nil {
			return err
		}
	}
	for _, x := range s.actors {
		if err := x.side.ready(ctx, x.proxy); err != nil {
			return s.explain(err, x.proxy)
		}
	}
	return nil
}

func (s *stage) startProgram(x *actor) (err error) {
	x.program, err = s.launch(child.Spec{
		Name: x.side.Name, Path: s.self, Args: []string{"demo-app", "--name", x.service, "--listen", x.listen()},
		Env: proxyVariables(os.Environ(), x.side.outbound()),
	})
	return err
}

func (x *actor) listen() string { return netip.AddrPortFrom(x.side.Addr, shop.Port).String() }

// listens waits until a service can be called.
func (s *stage) listens(ctx context.Context, x *actor) error {
	if x.service == shop.Load {
		return nil
	}
	return s.until(ctx, x.program, func() bool {
		c, err := net.DialTimeout("tcp", x.listen(), time.Second)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
}

// launch starts a process whose words go into a file of its own.
func (s *stage) launch(spec child.Spec) (*child.Process, error) {
	log, err := os.OpenFile(s.logFile(spec.Name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	spec.Stdout, spec.Stderr = log, log
	return s.family.Start(spec)
}

func (s *stage) logFile(name string) string {
	return filepath.Join(s.dir, strings.ReplaceAll(name, " ", "-")+".log")
}

// until waits until something holds or the process ends.
func (s *stage) until(ctx context.Context, p *child.Process, holds func() bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTime, fmt.Errorf("the %s did not start within %s", p.Name, readyTime))
	defer cancel()
	for !holds() {
		select {
		case <-p.Done():
			return s.explain(fmt.Errorf("the %s ended: %s", p.Name, p.End()), p)
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

// explain adds to an error what the process said last.
func (s *stage) explain(err error, p *child.Process) error {
	b, _ := os.ReadFile(s.logFile(p.Name))
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if said := lines[len(lines)-1]; said != "" {
		return fmt.Errorf("%w; it said: %s", err, said)
	}
	return err
}

func (s *stage) processes() (all []*child.Process) {
	for _, x := range s.actors {
		all = append(all, x.program, x.proxy)
	}
	return append(all, s.server)
}

// watch tells of each process that dies, once. The goroutines end with the
// processes, which stop waits for.
func (s *stage) watch() {
	all := s.processes()
	s.died = make(chan error, len(all))
	for _, p := range all {
		go func() {
			<-p.Done()
			s.died <- s.explain(fmt.Errorf("the %s died: %s", p.Name, p.End()), p)
		}()
	}
}

func (s *stage) deaths() <-chan error { return s.died }

// measure asks the control plane about traffic and the kernel about proxies.
func (s *stage) measure(ctx context.Context, over time.Duration) (n demoNumbers, err error) {
	if err := n.traffic(ctx, s.client, demoNamespace, over); err != nil {
		return n, err
	}
	for _, x := range s.actors {
		u, err := x.proxy.Usage()
		if err != nil {
			u = child.Usage{} // it has just died, which is told elsewhere
		}
		n.proxies = append(n.proxies, demoProxy{x.side.Name, u.RSSBytes, u.CPUSeconds})
	}
	return n, nil
}

// stop ends everything: the load, the services, the proxies, the control
// plane. A second signal ends the waiting.
func (s *stage) stop() {
	again, release := patience()
	defer release()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.stopInOrder()
	}()
	select {
	case <-done:
	case <-again:
		s.family.Kill()
		<-done
	}
}

func (s *stage) stopInOrder() {
	var programs, proxies []*child.Process
	for i := len(s.actors) - 1; i >= 0; i-- {
		if x := s.actors[i]; x.program != nil && x.service == shop.Load {
			child.Stop(endTime, x.program)
		} else if x.program != nil {
			programs = append(programs, x.program)
		}
		if p := s.actors[i].proxy; p != nil {
			proxies = append(proxies, p)
		}
	}
	child.Stop(endTime, programs...)
	child.Stop(endTime, proxies...)
	if s.server != nil {
		child.Stop(endTime, s.server)
	}
}

// hints are commands to try from another terminal.
func (s *stage) hints() string {
	var b strings.Builder
	fmt.Fprintf(&b, "  export LENO_SOCKET=%s\n", s.socket)
	first := s.actors[len(s.actors)-1] // its proxy is the load's: it can call everybody
	for _, line := range []string{
		s.self + " stat", s.self + " edges -o wide", s.self + " proxies", s.self + " identity payments",
		"curl -x http://" + first.side.outbound() + " http://web:8080/",
	} {
		b.WriteString("  " + line + "\n")
	}
	return b.String()
}

// runDemoApp plays one service, or the load.
func runDemoApp(ctx context.Context, name, listen string) error {
	if name == shop.Load {
		return shop.RunLoad(ctx)
	}
	service, ok := shop.Find(name)
	if !ok {
		return &ExitError{Code: 2, Text: fmt.Sprintf("the shop has no service %q", name)}
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	return shop.Serve(ctx, service, l)
}
