package check

import (
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/leno-mesh/leno/control/operator"
)

const (
	bundleName    = "leno-bundle"
	webhookSecret = "leno-webhook"
)

// systemNamespaces are those whose pods never get a proxy, beside Leno's own.
var systemNamespaces = []string{"kube-system", "kube-public", "kube-node-lease"} //nolint:gochecknoglobals // never written

// wish is what labels and annotations say about injection, "" when nothing.
func wish(labels, annotations map[string]string) string {
	if w := labels[InjectKey]; w != "" {
		return w
	}
	return annotations[InjectKey]
}

// wantsProxy says whether a pod should have a proxy: it says so itself, or its
// namespace does and it does not object.
func (c *cluster) wantsProxy(p *corev1.Pod) bool {
	if slices.Contains(systemNamespaces, p.Namespace) {
		return false
	}
	if own := wish(p.Labels, p.Annotations); own != "" {
		return own == "enabled"
	}
	return slices.ContainsFunc(c.namespaces, func(n corev1.Namespace) bool {
		return n.Name == p.Namespace && wish(n.Labels, n.Annotations) == "enabled"
	})
}

// checkPods looks for pods without their proxy, and for proxies that do not
// run.
func (r *report) checkPods(c *cluster) {
	var missed, host, uncaptured, sick []corev1.Pod
	meshed := 0
	for _, p := range c.pods {
		switch {
		case !Injected(&p) && !c.wantsProxy(&p):
		case !Injected(&p) && p.Spec.HostNetwork:
			host = append(host, p)
		case !Injected(&p):
			missed = append(missed, p)
		default:
			meshed++
			if captureFailed(&p) != "" {
				uncaptured = append(uncaptured, p)
			} else if !proxyReady(&p) {
				sick = append(sick, p)
			}
		}
	}
	r.list("pods that want a proxy have one", fmt.Sprintf("%d", meshed), missed, "without one, though they or their namespace say enabled: ", restart(missed))
	if len(host) > 0 {
		r.warn("pods that want a proxy can have one", "these use their node's network, whose traffic cannot be captured: "+joined(ByOwner(host)),
			"take hostNetwork out, or label them "+InjectKey+"=disabled")
	}
	for _, p := range uncaptured {
		r.fail("traffic is captured", p.Namespace+"/"+p.Name+": "+captureFailed(&p),
			fmt.Sprintf("kubectl logs -n %s %s -c %s", p.Namespace, p.Name, initContainer))
	}
	if len(uncaptured) == 0 && meshed > 0 {
		r.ok("traffic is captured (%s ended well in %d pods)", initContainer, meshed)
	}
	r.list("proxies are ready", fmt.Sprintf("%d", meshed), sick, "not ready: ", logsOf(sick))
}

// list says ok when there are no bad pods, and warns with their owners.
func (r *report) list(what, ok string, bad []corev1.Pod, wrong, hint string) {
	if len(bad) == 0 {
		r.ok("%s (%s)", what, ok)
		return
	}
	r.warn(what, wrong+joined(ByOwner(bad)), hint)
}

// restart is how pods are made again.
func restart(pods []corev1.Pod) string {
	var all []string
	for i := range pods {
		kind, name, _ := strings.Cut(Owner(&pods[i]), " ")
		command := fmt.Sprintf("kubectl rollout restart -n %s %s/%s", pods[i].Namespace, strings.ToLower(kind), name)
		if !slices.Contains([]string{"Deployment", "StatefulSet", "DaemonSet"}, kind) {
			command = fmt.Sprintf("kubectl delete pod -n %s %s, and make it again", pods[i].Namespace, pods[i].Name)
		}
		all = append(all, command)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	if len(all) > 3 {
		all = append(all[:3], "and so on")
	}
	return strings.Join(all, "; ")
}

// captureFailed says why the init container did not do its work; "" when it
// did, or when a CNI plugin does it in its place.
func captureFailed(p *corev1.Pod) string {
	for _, s := range p.Status.InitContainerStatuses {
		if s.Name != initContainer {
			continue
		}
		for _, state := range []corev1.ContainerState{s.State, s.LastTerminationState} {
			if t := state.Terminated; t != nil && t.ExitCode != 0 {
				return fmt.Sprintf("%s ended with %d %s", initContainer, t.ExitCode, strings.TrimSpace(t.Message))
			}
		}
	}
	return ""
}

func proxyReady(p *corev1.Pod) bool {
	return slices.ContainsFunc(p.Status.InitContainerStatuses, func(s corev1.ContainerStatus) bool {
		return s.Name == proxyContainer && s.Ready
	})
}

func (r *report) checkOptedIn(c *cluster, namespace string) {
	for _, n := range c.namespaces {
		if n.Name != namespace {
			continue
		}
		if wish(n.Labels, n.Annotations) == "enabled" {
			r.ok("new pods get a proxy")
		} else {
			r.warn("new pods get a proxy", "only those that say so themselves", fmt.Sprintf("kubectl label namespace %s %s=enabled", namespace, InjectKey))
		}
		return
	}
	r.fail("the namespace is there", "there is no namespace "+namespace, "kubectl get namespaces")
}

// checkEach compares each pod with what the control plane knows of its proxy.
func (r *report) checkEach(c *cluster, p *Params) {
	if p.Server == nil {
		return
	}
	known := make(map[string]operator.Proxy, len(p.Proxies))
	for _, x := range p.Proxies {
		known[x.Workload] = x
	}
	for i := range c.pods {
		if pod := &c.pods[i]; Injected(pod) {
			r.checkProxy(pod, known[string(pod.UID)], p.Server.Version)
		}
	}
}

// checkConnected looks for pods whose proxy runs and has no server.
func (r *report) checkConnected(c *cluster, p *Params) {
	if p.Server == nil {
		return
	}
	connected := make(map[string]bool, len(p.Proxies))
	for _, x := range p.Proxies {
		if x.Connected {
			connected[x.Workload] = true
		}
	}
	var lost []corev1.Pod
	for _, pod := range c.pods {
		if Injected(&pod) && proxyReady(&pod) && !connected[string(pod.UID)] {
			lost = append(lost, pod)
		}
	}
	r.list("proxies are connected to the control plane", fmt.Sprintf("%d", len(connected)), lost, "not connected, and running on what they know: ", logsOf(lost))
}

// logsOf is how to see what the proxy of the first of some pods says.
func logsOf(pods []corev1.Pod) string {
	if len(pods) == 0 {
		return ""
	}
	return fmt.Sprintf("kubectl logs -n %s %s -c %s", pods[0].Namespace, pods[0].Name, proxyContainer)
}

// confirmed says whether a proxy and its server agreed lately.
func confirmed(x *operator.Proxy) bool { return time.Since(lastSeen(x)) <= operator.StaleAfter }

func lastSeen(x *operator.Proxy) time.Time {
	if x.Confirmed.IsZero() {
		return x.ConnectedSince
	}
	return x.Confirmed
}

func (r *report) checkProxy(pod *corev1.Pod, x operator.Proxy, version string) {
	what := "proxy of " + pod.Name
	logs := logsOf([]corev1.Pod{*pod})
	switch {
	case x.Workload == "":
		r.warn(what, "the control plane does not know it", logs)
	case !x.Connected:
		r.warn(what, "it is not connected, and runs on what it knows", logs)
	case len(x.Refused) > 0:
		r.warn(what, fmt.Sprintf("it refused %d snapshots", len(x.Refused)), "leno proxies -o json; "+logs)
	case !confirmed(&x):
		r.warn(what, "its snapshot was last confirmed at "+lastSeen(&x).UTC().Format(time.RFC3339), logs)
	case !x.CertificateEnd.IsZero() && time.Now().After(x.CertificateEnd):
		r.fail(what, "its certificate ended at "+x.CertificateEnd.UTC().Format(time.RFC3339), logs)
	case x.ProxyVersion != version:
		r.warn(what, "it is "+x.ProxyVersion+", the server is "+version, "two releases of difference work; "+restart([]corev1.Pod{*pod}))
	default:
		r.ok("%s is connected, on the newest snapshot (%s)", what, x.ProxyVersion)
	}
}

// checkBundles looks for namespaces with meshed pods in which the trust bundle
// is missing: their next pods cannot start.
func (r *report) checkBundles(c *cluster, own string) {
	var meshed []corev1.Pod
	for _, p := range c.pods {
		if Injected(&p) {
			meshed = append(meshed, p)
		}
	}
	all := Namespaces(meshed)
	missing := slices.DeleteFunc(slices.Clone(all), func(namespace string) bool {
		return slices.ContainsFunc(c.bundles, func(b corev1.ConfigMap) bool {
			return b.Namespace == namespace && b.Data["bundle.pem"] != ""
		})
	})
	switch {
	case len(missing) > 0:
		r.fail("the trust bundle is in every namespace with proxies", "ConfigMap "+bundleName+" is missing in "+joined(missing),
			fmt.Sprintf("the server writes it; why it did not: kubectl logs -n %s deployment/%s", own, serverName))
	case len(all) > 0:
		r.ok("the trust bundle is in every namespace with proxies (%d)", len(all))
	}
}
