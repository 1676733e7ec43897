package main

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/leno-mesh/leno/identity"
	"github.com/leno-mesh/leno/proxy/sidecar"
)

// Where a pod has what Leno mounts, and what it may write. The volume behind
// the latter can be written by everybody who mounts it, so the proxy makes a
// directory of its own in it.
const (
	mountedDir  = "/var/run/leno"
	podStateDir = "/var/lib/leno/state"
)

// pod fills in what a proxy knows in a pod of Kubernetes: by the environment
// who it is, by mounted files whom to ask. What was set by hand stays.
func (f *runFlags) pod() error {
	if f.join != "" || len(f.services) > 0 {
		return fmt.Errorf("--kubernetes goes with neither --join-file nor --service: the pod's service account and the cluster's Services say that")
	}
	if f.state == "" {
		f.state = podStateDir
	}
	if f.name == "" {
		f.name = os.Getenv("POD_NAME")
	}
	if f.address == "" {
		f.address = os.Getenv("POD_IP")
	}
	if f.address == "" {
		return fmt.Errorf("--kubernetes: POD_IP is not set; it comes from the pod's status.podIP")
	}
	if len(f.outbound) == 0 {
		f.outbound = list{"127.0.0.1:4140"}
		if available("::1") {
			f.outbound = append(f.outbound, "[::1]:4140")
		}
	}
	return nil
}

// inPod makes the rest of the configuration from pod's.
func (f *runFlags) inPod(cfg *sidecar.Config) error {
	cfg.Mounted = &identity.Mounted{Dir: f.mounted}
	for s := range strings.SplitSeq(os.Getenv("POD_IPS"), ",") {
		if s == "" {
			continue
		}
		a, err := netip.ParseAddr(s)
		if err != nil {
			return fmt.Errorf("POD_IPS: %w", err)
		}
		if a != cfg.Address {
			cfg.Addresses = append(cfg.Addresses, a)
		}
	}
	return nil
}

// available says whether one can listen at an address here.
func available(addr string) bool {
	l, err := net.Listen("tcp", net.JoinHostPort(addr, "0"))
	if err != nil {
		return false
	}
	_ = l.Close()
	return true
}
