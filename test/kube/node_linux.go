package kube

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/leno-mesh/leno/test/netns"
)

// Capture records what travels between a node and all others, the machine
// included.
func (c *Cluster) Capture(t testing.TB, node string) *netns.Capture {
	t.Helper()
	return netns.CaptureLink(t, c.node(t, node).Port)
}

// KillNode ends a node with all that runs in it, as if its power went. The
// cluster must be the test's own, see Start.
func (c *Cluster) KillNode(t testing.TB, node string) {
	t.Helper()
	if c == shared.cluster {
		t.Fatal("the shared cluster keeps its nodes")
	}
	if err := syscall.Kill(c.node(t, node).PID, syscall.SIGKILL); err != nil {
		t.Fatalf("killing %s: %v", node, err)
	}
}

// Daemon is the process of a daemon of a node, such as "kube-apiserver", as the
// machine numbers it. One that is killed starts again.
func (c *Cluster) Daemon(t testing.TB, node, name string) int {
	t.Helper()
	home, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", c.node(t, node).PID))
	if err != nil {
		t.Fatal(err)
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range commands {
		command, err := os.ReadFile(file)
		args := strings.Split(string(command), "\x00")
		if err != nil || !slices.Contains(args[:min(2, len(args))], name) {
			continue
		}
		dir := filepath.Dir(file)
		if ns, err := os.Readlink(filepath.Join(dir, "ns", "pid")); err == nil && ns == home {
			pid, err := strconv.Atoi(filepath.Base(dir))
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatalf("%s has no %s", node, name)
	return 0
}

func (c *Cluster) node(t testing.TB, name string) Node {
	t.Helper()
	n, ok := c.Nodes[name]
	if !ok {
		t.Fatalf("cluster %s has no %s", c.Name, name)
	}
	return n
}

// Processes are the processes of a container, as the machine numbers them. A
// container is known by the control group that has its name.
func (c *Cluster) Processes(t testing.TB, namespace, pod, container string) []int {
	t.Helper()
	id := c.containerID(t, namespace, pod, container)
	groups, err := filepath.Glob("/proc/[0-9]*/cgroup")
	if err != nil {
		t.Fatal(err)
	}
	var all []int
	for _, file := range groups {
		content, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(content), id) {
			continue // ended meanwhile, or another container's
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// containerID is empty of the runtime's name.
func (c *Cluster) containerID(t testing.TB, namespace, name, container string) string {
	t.Helper()
	type status struct{ Name, ContainerID string }
	var pod struct {
		Status struct{ ContainerStatuses, InitContainerStatuses []status }
	}
	c.Get(t, &pod, "pod", name, "-n", namespace)
	all := slices.Concat(pod.Status.ContainerStatuses, pod.Status.InitContainerStatuses)
	i := slices.IndexFunc(all, func(s status) bool { return s.Name == container })
	if i < 0 || all[i].ContainerID == "" {
		t.Fatalf("pod %s in %s has no running container %s", name, namespace, container)
	}
	return strings.TrimPrefix(all[i].ContainerID, "containerd://")
}
