package check

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/leno-mesh/leno/mesh"
)

// serverPort is where proxies find the control plane, and inboundPortName what
// the port of a proxy is called in its container.
const (
	serverPort      = 4180
	inboundPortName = "leno-inbound"
)

// checkPolicies looks for network policies that were written for the
// application's ports: between two proxies the port is the proxy's.
func (r *report) checkPolicies(c *cluster) {
	blocked := make(map[block][]corev1.Pod)
	meshed := 0
	for _, p := range c.pods {
		if !Injected(&p) {
			continue
		}
		meshed++
		for _, why := range c.blocks(&p) {
			blocked[why] = append(blocked[why], p)
		}
	}
	for _, b := range slices.SortedFunc(maps.Keys(blocked), func(x, y block) int {
		return cmp.Or(cmp.Compare(x.namespace, y.namespace), cmp.Compare(x.why, y.why))
	}) {
		r.warn("network policies let the mesh through", b.why+", which concerns "+joined(ByOwner(blocked[b])),
			fmt.Sprintf("kubectl edit networkpolicy -n %s %s, and add TCP port %d beside those that are there", b.namespace, b.policy, b.port))
	}
	if len(blocked) == 0 && meshed > 0 {
		r.ok("network policies let the mesh through (%d policies)", len(c.policies))
	}
}

// block is something that policies keep from a proxy.
type block struct {
	namespace, policy string // one of those that would have to let it through
	port              uint16
	why               string
}

// blocks says which of the mesh's ports no policy of a pod lets through. As
// Kubernetes has it, policies only add to each other, and a direction that no
// policy is about is open.
func (c *cluster) blocks(p *corev1.Pod) []block {
	var out []block
	for _, need := range []struct {
		direction networkingv1.PolicyType
		port      uint16
		words     string
	}{
		{networkingv1.PolicyTypeIngress, mesh.InboundPort, "no policy lets port %d of the proxy in (%s)"},
		{networkingv1.PolicyTypeEgress, mesh.InboundPort, "no policy lets calls out to port %d of other proxies (%s)"},
		{networkingv1.PolicyTypeEgress, serverPort, "no policy lets calls out to port %d of the control plane (%s)"},
	} {
		open, names := false, []string{}
		for i := range c.policies {
			n := &c.policies[i]
			if n.Namespace != p.Namespace || !about(n, need.direction) || !selects(n, p) {
				continue
			}
			names = append(names, n.Name)
			open = open || letsThrough(n, need.direction, need.port)
		}
		if len(names) > 0 && !open {
			slices.Sort(names)
			out = append(out, block{p.Namespace, names[0], need.port, fmt.Sprintf(need.words, need.port, joined(names))})
		}
	}
	return out
}

func about(n *networkingv1.NetworkPolicy, direction networkingv1.PolicyType) bool {
	if len(n.Spec.PolicyTypes) == 0 { // not defaulted, as in a file
		return direction == networkingv1.PolicyTypeIngress || len(n.Spec.Egress) > 0
	}
	return slices.Contains(n.Spec.PolicyTypes, direction)
}

func selects(n *networkingv1.NetworkPolicy, p *corev1.Pod) bool {
	s, err := metav1.LabelSelectorAsSelector(&n.Spec.PodSelector)
	return err == nil && s.Matches(labels.Set(p.Labels))
}

// letsThrough says whether a rule is about the port, whoever the peer is.
func letsThrough(n *networkingv1.NetworkPolicy, direction networkingv1.PolicyType, port uint16) bool {
	if direction == networkingv1.PolicyTypeIngress {
		return slices.ContainsFunc(n.Spec.Ingress, func(r networkingv1.NetworkPolicyIngressRule) bool { return hasPort(r.Ports, port) })
	}
	return slices.ContainsFunc(n.Spec.Egress, func(r networkingv1.NetworkPolicyEgressRule) bool { return hasPort(r.Ports, port) })
}

func hasPort(ports []networkingv1.NetworkPolicyPort, port uint16) bool {
	return len(ports) == 0 || slices.ContainsFunc(ports, func(p networkingv1.NetworkPolicyPort) bool {
		if p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP {
			return false
		}
		if p.Port == nil {
			return true
		}
		if p.Port.Type == intstr.String {
			return port == mesh.InboundPort && p.Port.StrVal == inboundPortName
		}
		first := p.Port.IntValue()
		last := first
		if p.EndPort != nil {
			last = int(*p.EndPort)
		}
		return first <= int(port) && int(port) <= last
	})
}

// checkUDP lists what goes past the proxies.
func (r *report) checkUDP(c *cluster) {
	var all []string
	for i := range c.services {
		s := &c.services[i]
		if !slices.ContainsFunc(s.Spec.Ports, func(p corev1.ServicePort) bool { return p.Protocol == corev1.ProtocolUDP }) || len(s.Spec.Selector) == 0 {
			continue
		}
		by := labels.SelectorFromSet(s.Spec.Selector)
		if slices.ContainsFunc(c.pods, func(p corev1.Pod) bool {
			return Injected(&p) && p.Namespace == s.Namespace && by.Matches(labels.Set(p.Labels))
		}) {
			all = append(all, s.Namespace+"/Service "+s.Name)
		}
	}
	for i := range c.pods {
		if p := &c.pods[i]; Injected(p) && usesUDP(p) {
			all = append(all, p.Namespace+"/"+Owner(p))
		}
	}
	slices.Sort(all)
	if all = slices.Compact(all); len(all) > 0 {
		r.warn("the mesh protects all traffic of its workloads", "UDP goes past the proxies: "+joined(all),
			"Leno encrypts TCP only; protect UDP in the application, or with the network (see docs/kubernetes.md)")
	}
}

func usesUDP(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Spec.Containers, func(c corev1.Container) bool {
		return slices.ContainsFunc(c.Ports, func(port corev1.ContainerPort) bool { return port.Protocol == corev1.ProtocolUDP })
	})
}
