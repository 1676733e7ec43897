package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/leno-mesh/leno/test/cluster/node"
	"github.com/leno-mesh/leno/test/cluster/plane"
	"github.com/leno-mesh/leno/test/cluster/program"
)

// patience is how long a cluster may take to come up. On an idle machine it
// takes ten seconds.
const patience = 5 * time.Minute

// up starts a cluster that outlives this process.
func up(ctx context.Context, o options) error {
	s, err := start(ctx, o, node.Process{})
	if err != nil {
		return err
	}
	tell(s)
	return nil
}

// runTied starts a cluster and takes it away when standard input ends or a
// signal comes. Its nodes die with this process, however that ends.
func runTied(ctx context.Context, o options) error {
	self, err := node.Self()
	if err != nil {
		return err
	}
	s, err := start(ctx, o, self)
	if err != nil {
		return err
	}
	tell(s)
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, os.Stdin) // whatever ends it
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
	}
	return down(s.Name)
}

// tell says how to reach the cluster. The last line is for a shell.
func tell(s state) {
	fmt.Println("cluster", s.Name, "is ready; its network is", s.Network)
	fmt.Println("kubectl is", s.Kubectl)
	fmt.Println("logs are in", s.LogDir)
	fmt.Println("export KUBECONFIG=" + s.Kubeconfig)
}

// start makes a cluster, or leaves nothing behind.
func start(ctx context.Context, o options, owner node.Process) (state, error) {
	containerd, err := packages()
	if err != nil {
		return state{}, err
	}
	if o.nodes < 1 || o.nodes > plane.MaxNodes {
		return state{}, fmt.Errorf("%d nodes: choose from 1 to %d", o.nodes, plane.MaxNodes)
	}
	if err := sweep(); err != nil {
		return state{}, err
	}
	programs, err := program.Build(ctx, o.source, os.Stderr)
	if err != nil {
		return state{}, err
	}
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	s, err := reserve(o, owner)
	if err != nil {
		return state{}, err
	}
	if err := s.boot(ctx, o, programs, containerd); err != nil {
		if !errors.Is(ctx.Err(), context.Canceled) { // by the person who waited
			err = errors.Join(err, keepLogs(s))
		}
		return state{}, errors.Join(err, down(s.Name))
	}
	return s, nil
}

// reserve takes the cluster's name and network.
func reserve(o options, owner node.Process) (state, error) {
	dir := dirOf(o.name)
	if err := os.MkdirAll(home, 0o755); err != nil {
		return state{}, err
	}
	if err := os.Mkdir(dir, 0o755); errors.Is(err, os.ErrExist) {
		return state{}, fmt.Errorf("cluster %s is there already: take it away first (cluster down -name %[1]s)", o.name)
	} else if err != nil {
		return state{}, err
	}
	network, err := claim(o.network)
	if err != nil {
		os.RemoveAll(dir)
		return state{}, err
	}
	s := state{Name: o.name, Network: network.String(), Owner: owner, Nodes: make(map[string]member)}
	return s, s.save()
}

func (s *state) boot(ctx context.Context, o options, programs, containerd string) error {
	network, err := plane.ParseNetwork(s.Network)
	if err != nil {
		return err
	}
	dir := dirOf(s.Name)
	s.Snapshotter = snapshotter(dir)
	p, err := plane.Setup(plane.Config{
		Network: network, Nodes: o.nodes, Dir: dir,
		Programs: programs, Containerd: containerd, Snapshotter: s.Snapshotter,
		Groups: func(node string) string { return "/" + groups(s.Name, node).Path },
	})
	if err != nil {
		return err
	}
	s.Kubeconfig, s.Kubectl = p.Kubeconfig, filepath.Join(programs, "kubectl")
	s.AuditLog, s.LogDir = p.AuditLog(), p.LogDir()
	if err := os.MkdirAll(p.LogDir(), 0o755); err != nil {
		return err
	}
	if err := s.startNodes(p); err != nil {
		return err
	}
	images := append([]string{filepath.Join(programs, "pause.tar"), filepath.Join(programs, "coredns.tar")}, o.rest...)
	if err := s.importImages(ctx, images); err != nil {
		return err
	}
	if err := p.WaitReady(ctx); err != nil {
		return err
	}
	return p.StartDNS(ctx)
}

func (s *state) startNodes(p *plane.Plane) error {
	for i := 1; i <= p.Nodes; i++ {
		name := plane.NodeName(i)
		if err := groups(s.Name, name).Make(); err != nil {
			return err
		}
		process, err := node.Start(p.Node(i), node.Params{
			Bridge: p.Network.Bridge(), Port: p.Network.Port(i),
			Tied: s.Owner != node.Process{},
		})
		if err != nil {
			return err
		}
		s.Nodes[name] = member{Process: process, Port: p.Network.Port(i)}
		if err := s.save(); err != nil {
			return err
		}
	}
	return addRoutes(p.Network, p.Nodes)
}

// packages looks for the programs that Debian has.
func packages() (containerd string, err error) {
	for program, name := range map[string]string{
		"runc": "runc", "iptables": "iptables", "conntrack": "conntrack", "/usr/lib/cni/ptp": "containernetworking-plugins",
	} {
		if _, err := exec.LookPath(program); err != nil {
			return "", fmt.Errorf("the program %s is missing: apt-get install %s", program, name)
		}
	}
	containerd, err = exec.LookPath("containerd")
	if err != nil {
		return "", errors.New("the program containerd is missing: apt-get install containerd")
	}
	return containerd, nil
}

// snapshotter is overlayfs where the file system lets it be stacked, and plain
// copies elsewhere, as in most containers.
func snapshotter(dir string) string {
	test := filepath.Join(dir, "overlay")
	defer os.RemoveAll(test)
	for _, name := range []string{"lower", "upper", "work", "merged"} {
		if err := os.MkdirAll(filepath.Join(test, name), 0o755); err != nil {
			return "native"
		}
	}
	merged := filepath.Join(test, "merged")
	layers := fmt.Sprintf("lowerdir=%[1]s/lower,upperdir=%[1]s/upper,workdir=%[1]s/work", test)
	if err := syscall.Mount("overlay", merged, "overlay", 0, layers); err != nil {
		return "native"
	}
	if err := syscall.Unmount(merged, 0); err != nil {
		return "native"
	}
	return "overlayfs"
}
