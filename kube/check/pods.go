package check

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// pageSize is how many objects are asked for at a time, so that no answer of a
// big cluster is bigger than a few megabytes.
const pageSize = 500

// pods lists the pods of a namespace, or of all of them.
func pods(ctx context.Context, c kubernetes.Interface, namespace string) ([]corev1.Pod, error) {
	var all []corev1.Pod
	for o := (metav1.ListOptions{Limit: pageSize}); ; {
		page, err := c.CoreV1().Pods(namespace).List(ctx, o)
		if err != nil {
			return nil, fmt.Errorf("pods: %w", err)
		}
		all = append(all, page.Items...)
		if o.Continue = page.Continue; o.Continue == "" {
			return all, nil
		}
	}
}

// InjectedPods lists the pods of all namespaces that have a proxy and have not
// ended.
func InjectedPods(ctx context.Context, c kubernetes.Interface) ([]corev1.Pod, error) {
	all, err := pods(ctx, c, metav1.NamespaceAll)
	return slices.DeleteFunc(all, func(p corev1.Pod) bool { return !Injected(&p) || ended(&p) }), err
}

func ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// ByOwner says whose pods they are, "namespace/Deployment web (2)", sorted.
func ByOwner(pods []corev1.Pod) []string {
	count := make(map[string]int)
	for i := range pods {
		count[pods[i].Namespace+"/"+Owner(&pods[i])]++
	}
	out := make([]string, 0, len(count))
	for owner, n := range count {
		out = append(out, fmt.Sprintf("%s (%d)", owner, n))
	}
	slices.Sort(out)
	return out
}

// Namespaces gives those of the pods, sorted.
func Namespaces(pods []corev1.Pod) []string {
	var out []string
	for i := range pods {
		out = append(out, pods[i].Namespace)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Owner is what made a pod: "Deployment web" for the pod of its ReplicaSet,
// "Pod web" when nothing did.
func Owner(p *corev1.Pod) string {
	for _, o := range p.OwnerReferences {
		if o.Controller == nil || !*o.Controller {
			continue
		}
		hash := p.Labels["pod-template-hash"]
		if name, ok := strings.CutSuffix(o.Name, "-"+hash); o.Kind == "ReplicaSet" && hash != "" && ok {
			return "Deployment " + name
		}
		return o.Kind + " " + o.Name
	}
	return "Pod " + cmp.Or(p.Name, p.GenerateName)
}
