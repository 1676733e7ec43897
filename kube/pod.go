package kube

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/redirect"
)

// The marks of an injected pod.
const (
	// ProxyContainer is the name of the sidecar: an init container that is
	// restarted always.
	ProxyContainer = "leno-proxy"
	// Ports of the sidecar by name, for pods that use others than the usual.
	inboundPortName = "leno-inbound"
	adminPortName   = "leno-admin"

	protocolKey    = "leno.dev/protocol"
	skipInboundKey = "leno.dev/skip-inbound-ports"
)

// pod is what is kept of a Pod.
type pod struct {
	addrs       []netip.Addr // none before it has any, and after it ended
	node        string
	hostNetwork bool
	inject      string
	// workload is set for a meshed pod with an address; its identity and its
	// zone are filled in when it is brought.
	workload *catalog.Workload
}

// podOf gives nil for a pod that has ended: its address may have another owner
// by now.
func podOf(p *corev1.Pod) *pod {
	if p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return nil
	}
	out := &pod{
		addrs: podAddrs(p), node: p.Spec.NodeName, hostNetwork: p.Spec.HostNetwork,
		inject: injectWord(p.Labels, p.Annotations),
	}
	if sidecar := proxyOf(p); sidecar != nil && !p.Spec.HostNetwork && len(out.addrs) > 0 {
		out.workload = workloadOf(p, sidecar, out.addrs)
	}
	return out
}

func podAddrs(p *corev1.Pod) []netip.Addr {
	ips := p.Status.PodIPs
	if len(ips) == 0 {
		ips = []corev1.PodIP{{IP: p.Status.PodIP}}
	}
	var addrs []netip.Addr
	for _, ip := range ips {
		if a, err := netip.ParseAddr(ip.IP); err == nil {
			addrs = append(addrs, a.Unmap())
		}
	}
	return addrs
}

// proxyOf gives the pod's sidecar, or nil. The annotation that injection
// leaves is not asked: what counts is that a proxy runs.
func proxyOf(p *corev1.Pod) *corev1.Container {
	for i := range p.Spec.InitContainers {
		c := &p.Spec.InitContainers[i]
		if c.Name == ProxyContainer && c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			return c
		}
	}
	return nil
}

func workloadOf(p *corev1.Pod, sidecar *corev1.Container, addrs []netip.Addr) *catalog.Workload {
	w := &catalog.Workload{
		ID:             mesh.WorkloadID(p.UID),
		Namespace:      p.Namespace,
		ServiceAccount: cmp.Or(p.Spec.ServiceAccountName, "default"),
		Registration: mesh.Registration{
			Name: p.Name, Addr: addrs[0], Labels: p.Labels,
			ProxyPort: portNamed(sidecar, inboundPortName, mesh.InboundPort),
			AdminPort: portNamed(sidecar, adminPortName, mesh.AdminPort),
		},
		AnyPort:    true,
		Hints:      hints(p.Annotations[protocolKey]),
		Uncaptured: portRanges(p.Annotations[skipInboundKey]),
		Owner:      ownerOf(p),
		Node:       p.Spec.NodeName,
	}
	if len(addrs) > 1 {
		w.Addrs = addrs[1:]
	}
	if p.DeletionTimestamp != nil {
		w.State = mesh.Draining
	}
	return w
}

func portNamed(c *corev1.Container, name string, otherwise uint16) uint16 {
	for _, p := range c.Ports {
		if p.Name == name && p.ContainerPort > 0 && p.ContainerPort <= 65535 {
			return uint16(p.ContainerPort)
		}
	}
	return otherwise
}

// ownerOf gives what keeps the pod running as people call it. The ReplicaSets
// of a Deployment are named after it and the hash of its template.
func ownerOf(p *corev1.Pod) string {
	ref := metav1.GetControllerOf(p)
	if ref == nil {
		return ""
	}
	if hash := p.Labels["pod-template-hash"]; ref.Kind == "ReplicaSet" && hash != "" {
		if name, ok := strings.CutSuffix(ref.Name, "-"+hash); ok {
			return "deployment/" + name
		}
	}
	return strings.ToLower(ref.Kind) + "/" + ref.Name
}

// hints reads leno.dev/protocol, "5432=tcp,8080=http". Whoever wrote something
// else was warned when the pod was admitted; here it says nothing.
func hints(s string) []catalog.PortHint {
	var all []catalog.PortHint
	for part := range strings.SplitSeq(s, ",") {
		number, word, _ := strings.Cut(strings.TrimSpace(part), "=")
		port, err := strconv.ParseUint(number, 10, 16)
		if err != nil || port == 0 {
			continue
		}
		for p := mesh.HTTP1; p <= mesh.Opaque; p++ {
			if p.String() == word {
				all = append(all, catalog.PortHint{Port: uint16(port), Protocol: p})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b catalog.PortHint) int { return cmp.Compare(a.Port, b.Port) })
	return slices.CompactFunc(all, func(a, b catalog.PortHint) bool { return a.Port == b.Port })
}

// portRanges reads leno.dev/skip-inbound-ports, "25,4000-4100", as the capture
// does, which does not let the pod start when it is something else.
func portRanges(s string) []catalog.PortRange {
	ranges, err := redirect.ParsePorts(s)
	if err != nil {
		return nil
	}
	var all []catalog.PortRange
	for _, r := range ranges {
		all = append(all, catalog.PortRange(r))
	}
	return all
}
