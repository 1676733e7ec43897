package node

import (
	"encoding/json"
	"net/netip"
	"os"
	"path/filepath"
)

// Spec says what a node is.
type Spec struct {
	Name string
	// Dir holds the node's files. Its folders lib and log are the node's
	// /var/lib and /var/log.
	Dir string
	// LogDir gets one file for each daemon.
	LogDir string
	// Address is the node's, with the length of its network.
	Address netip.Prefix
	// Gateway is the machine.
	Gateway netip.Addr
	// Routes lead to the pods of other nodes.
	Routes  []Route
	Daemons []Daemon
}

// Route leads to a network by way of another node.
type Route struct {
	To  netip.Prefix
	Via netip.Addr
}

// Daemon is a program that runs as long as its node.
type Daemon struct {
	Name string
	// Args begin with the path of the program.
	Args []string
	// Await are sockets that must take connections before the daemon starts:
	// paths, or addresses with ports.
	Await []string
}

// specFile is where the node's first process finds its Spec.
func (s Spec) file() string { return filepath.Join(s.Dir, "spec.json") }

func (s Spec) write() error {
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(s.file(), b, 0o600)
}

func readSpec(file string) (Spec, error) {
	var s Spec
	b, err := os.ReadFile(file)
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(b, &s)
}
