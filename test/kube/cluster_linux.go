package kube

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
	"github.com/leno-mesh/leno/test/image"
	"github.com/leno-mesh/leno/test/netns"
)

// Cluster is a running cluster.
type Cluster struct {
	Name       string
	Kubeconfig string
	// Network is the /16 of which nodes, Services and pods have parts.
	Network string
	// Kubectl is the path of the program.
	Kubectl string
	// AuditLog has a line of JSON for each request that a service account made,
	// except those of Kubernetes itself.
	AuditLog string
	LogDir   string
	// Nodes are by name: node1 has the control plane.
	Nodes map[string]Node

	program string // that started it, and loads images
	stop    func() error
	loaded  loaded
}

// Node is a node of a cluster.
type Node struct {
	// PID is the node's first process, with which the node ends.
	PID int
	// Port is the machine's link to the node: what it exchanges with other nodes
	// travels there.
	Port string
}

// loaded are the images that the cluster has, by name.
type loaded struct {
	mu    sync.Mutex
	names map[string]bool
}

// common is what all tests of a package share.
type common struct {
	mu      sync.Mutex
	dir     string // of programs and images
	cluster *Cluster
	err     error
}

var shared common

// Main runs the tests of the package, and takes the shared cluster away.
func Main(m *testing.M) { harness.Main(m, shared.end) }

func (c *common) end() {
	if c.cluster != nil {
		if err := c.cluster.stop(); err != nil {
			fmt.Fprintln(os.Stderr, "taking the cluster away:", err)
		}
	}
	if c.dir != "" {
		os.RemoveAll(c.dir)
	}
}

// Shared is the cluster that all tests use. It has two nodes.
func Shared(t testing.TB) *Cluster {
	t.Helper()
	need(t)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.cluster == nil && shared.err == nil {
		if name := os.Getenv("LENO_TEST_CLUSTER"); name != "" {
			shared.cluster, shared.err = running(name)
		} else {
			shared.cluster, shared.err = start(fmt.Sprint("test", os.Getpid()), 2)
		}
		if shared.err == nil {
			shared.cluster.loadLeno(t)
		}
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.cluster
}

// Start is a cluster for one test alone.
func Start(t testing.TB, nodes int) *Cluster {
	t.Helper()
	need(t)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	c, err := start(fmt.Sprintf("test%d-%s", os.Getpid(), strings.ToLower(filepath.Base(t.Name()))), nodes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.stop(); err != nil {
			t.Error(err)
		}
	})
	c.loadLeno(t)
	return c
}

// need skips the test where there can be no cluster, or fails it where
// LENO_TEST_REQUIRE_ROOT=1 forbids skipping.
func need(t testing.TB) {
	t.Helper()
	netns.RequireRoot(t)
	for name, debian := range map[string]string{
		"containerd": "containerd", "runc": "runc", "/usr/lib/cni/ptp": "containernetworking-plugins",
		"iptables": "iptables", "conntrack": "conntrack",
	} {
		harness.Need(t, name, debian)
	}
}

// start runs the program that makes clusters. The cluster dies with it, and it
// ends with this process.
func start(name string, nodes int) (*Cluster, error) {
	program, root, err := shared.build()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "run", "-name", name, "-nodes", strconv.Itoa(nodes),
		"-source", filepath.Join(root, "test", "cluster", "programs"))
	complaint, err := os.Create(filepath.Join(shared.dir, name+".log"))
	if err != nil {
		return nil, err
	}
	defer complaint.Close()
	cmd.Stderr = complaint
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop := func() error {
		stdin.Close()
		io.Copy(io.Discard, stdout)
		if err := cmd.Wait(); err != nil {
			said, _ := os.ReadFile(complaint.Name())
			return fmt.Errorf("cluster %s: %w\n%s", name, err, said)
		}
		return nil
	}
	kubeconfig, err := lastLine(stdout)
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return open(kubeconfig, program, stop)
}

// lastLine reads what the program says until it tells where the kubeconfig is.
func lastLine(r io.Reader) (kubeconfig string, err error) {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		if file, found := strings.CutPrefix(lines.Text(), "export KUBECONFIG="); found {
			return file, nil
		}
	}
	return "", errors.Join(errors.New("the cluster did not start"), lines.Err())
}

// running is a cluster that somebody started.
func running(name string) (*Cluster, error) {
	program, _, err := shared.build()
	if err != nil {
		return nil, err
	}
	return open("/var/tmp/leno-cluster/"+name+"/kubeconfig", program, func() error { return nil })
}

func open(kubeconfig, program string, stop func() error) (*Cluster, error) {
	b, err := os.ReadFile(filepath.Join(filepath.Dir(kubeconfig), "cluster.json"))
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	c := &Cluster{program: program, stop: stop, loaded: loaded{names: make(map[string]bool)}}
	return c, json.Unmarshal(b, c)
}

// build builds the program that makes clusters.
func (c *common) build() (program, root string, err error) {
	if c.dir == "" {
		if c.dir, err = os.MkdirTemp("", "leno-kube"); err != nil {
			return "", "", err
		}
	}
	root, err = moduleRoot()
	if err != nil {
		return "", "", err
	}
	program = filepath.Join(c.dir, "cluster")
	return program, root, goBuild(root, program, "./test/cluster")
}

func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	return filepath.Dir(strings.TrimSpace(string(out))), err
}

// goBuild builds a static program.
func goBuild(dir, program, name string) error {
	cmd := exec.Command("go", "build", "-o", program, name)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", name, err, out)
	}
	return nil
}

// Version is the tag of Leno's images in the tests.
const Version = "test"

// Leno and Proxy are the names of Leno's images.
const (
	Leno  = image.Registry + "/leno:" + Version
	Proxy = image.Registry + "/leno-proxy:" + Version
)

func (c *Cluster) loadLeno(t testing.TB) {
	t.Helper()
	leno := image.Leno(Version, harness.Binary(t, "leno"))
	proxy := image.Proxy(Version, harness.Binary(t, "leno-proxy"))
	leno.Plain, proxy.Plain = true, true
	c.Load(t, leno, proxy)
}
