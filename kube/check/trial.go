package check

import (
	"context"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// TryInjection asks the API server to make a pod that wants a proxy, without
// storing it, and says whether it got one. Nothing is left behind.
func TryInjection(ctx context.Context, c kubernetes.Interface, namespace string) (bool, error) {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "leno-trial-", Labels: map[string]string{InjectKey: "enabled"}},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "app", Image: "leno-trial"}}},
	}
	made, err := c.CoreV1().Pods(namespace).Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	if apierrors.IsForbidden(err) && strings.Contains(err.Error(), initContainer) {
		return true, nil // the namespace's Pod Security refuses the init container, so it is there
	}
	if err != nil {
		return false, err
	}
	return Injected(made), nil
}

// Injected says whether a pod has a proxy.
func Injected(p *corev1.Pod) bool {
	for _, c := range p.Spec.InitContainers {
		if c.Name == proxyContainer {
			return true
		}
	}
	return false
}
