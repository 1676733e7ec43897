package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/vishvananda/netlink"

	"github.com/leno-mesh/leno/test/cluster/node"
	"github.com/leno-mesh/leno/test/cluster/plane"
)

// home is where clusters keep their files. It is on a disk, since containerd
// keeps images there, and the same path in every node.
const home = "/var/tmp/leno-cluster"

// state is what must be known to take a cluster away. It is written before
// anything is made.
type state struct {
	Name    string
	Network string
	// Owner is the process without which the cluster is not to live, if any.
	Owner       node.Process
	Kubeconfig  string
	Kubectl     string
	AuditLog    string
	LogDir      string
	Snapshotter string
	Nodes       map[string]member
}

// member is a node of a cluster.
type member struct {
	node.Process
	Port string // the machine's link to it
}

func dirOf(name string) string { return filepath.Join(home, name) }

// groups are the control groups of a cluster, or of one of its nodes.
func groups(path ...string) node.Groups {
	return node.Groups{Path: filepath.Join(append([]string{"leno-cluster"}, path...)...)}
}

func (s state) save() error {
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	file := filepath.Join(dirOf(s.Name), "cluster.json")
	if err := os.WriteFile(file+".new", b, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

func readState(name string) (state, error) {
	var s state
	b, err := os.ReadFile(filepath.Join(dirOf(name), "cluster.json"))
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(b, &s)
}

// down takes a cluster away, whatever there is of it. One that does not exist
// is no error.
func down(name string) error {
	s, err := readState(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, n := range s.Nodes {
		if err := n.Kill(); err != nil {
			return err
		}
	}
	network, err := plane.ParseNetwork(s.Network)
	if err != nil {
		return err
	}
	if err := unplug(network); err != nil {
		return err
	}
	if err := groups(name).Remove(); err != nil {
		return err
	}
	return removeFiles(dirOf(name))
}

// unplug removes the bridge with its ports and routes.
func unplug(network plane.Network) error {
	names := []string{network.Bridge()}
	for i := 1; i <= plane.MaxNodes; i++ {
		names = append(names, network.Port(i))
	}
	for _, name := range names {
		link, err := netlink.LinkByName(name)
		if err != nil {
			continue // went with its node
		}
		if err := netlink.LinkDel(link); err != nil && !errors.Is(err, syscall.ENODEV) {
			return fmt.Errorf("removing link %s: %w", name, err)
		}
	}
	return nil
}

// removeFiles never goes through a mount that is still there.
func removeFiles(dir string) error {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if strings.Contains(string(mounts), " "+dir+"/") {
		return fmt.Errorf("something is still mounted below %s: unmount it, then try again", dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	os.Remove(home) // unless there are other clusters
	return nil
}

// sweep takes away clusters whose owners are dead: those of tests that were
// killed.
func sweep() error {
	entries, err := os.ReadDir(home)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		s, err := readState(e.Name())
		if err != nil || s.Owner == (node.Process{}) || s.Owner.Alive() {
			continue
		}
		if err := down(e.Name()); err != nil {
			return fmt.Errorf("taking away what is left of cluster %s: %w", e.Name(), err)
		}
	}
	return nil
}
