package install

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/leno-mesh/leno/kube/check"
)

// ready waits until a new pod would be injected: the servers run, the webhook
// has its certificate, and the API server gets an answer from it.
func (i *Installer) ready(ctx context.Context) error {
	if i.cfg.Wait == 0 {
		return nil
	}
	for _, look := range []func(context.Context) (string, error){i.serversPending, i.authorityPending, i.injectionPending} {
		if err := i.await(ctx, look); err != nil {
			return err
		}
	}
	return nil
}

// serversPending says how far the rollout is.
func (i *Installer) serversPending(ctx context.Context) (string, error) {
	d, err := i.cfg.Access.Client.AppsV1().Deployments(i.cfg.Namespace).Get(ctx, serverName, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("deployment %s: %w", serverName, err)
	}
	done, want := rolledOut(d)
	if done == want && d.Status.Replicas == want && d.Status.ObservedGeneration >= d.Generation {
		return "", nil
	}
	pods, err := i.cfg.Access.Client.CoreV1().Pods(i.cfg.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labelName + "=" + serverName})
	if err != nil {
		return "", fmt.Errorf("pods of %s: %w", serverName, err)
	}
	what := fmt.Sprintf("Deployment %s: %d of %d ready", serverName, done, want)
	if why := whyNot(pods.Items); len(why) > 0 {
		what += " (" + strings.Join(why, "; ") + ")"
	}
	return what, nil
}

func rolledOut(d *appsv1.Deployment) (done, want int32) {
	want = 1
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	return min(d.Status.UpdatedReplicas, d.Status.AvailableReplicas), want
}

// whyNot says what the pods that are not ready say themselves, each once.
func whyNot(pods []corev1.Pod) []string {
	var out []string
	for _, p := range pods {
		out = append(out, podPending(&p)...)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func podPending(p *corev1.Pod) (out []string) {
	for _, c := range p.Status.Conditions {
		if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
			out = append(out, c.Message)
		}
	}
	for _, c := range p.Status.ContainerStatuses {
		switch {
		case c.State.Waiting != nil && c.State.Waiting.Message != "":
			out = append(out, c.State.Waiting.Reason+": "+c.State.Waiting.Message)
		case c.State.Waiting != nil:
			out = append(out, c.State.Waiting.Reason)
		case c.State.Terminated != nil:
			out = append(out, fmt.Sprintf("ended with %d; see kubectl logs -n %s %s", c.State.Terminated.ExitCode, p.Namespace, p.Name))
		}
	}
	return out
}

// authorityPending says whether the server has given the webhook its
// certificate's authority.
func (i *Installer) authorityPending(ctx context.Context) (string, error) {
	w, err := i.cfg.Access.Client.AdmissionregistrationV1().MutatingWebhookConfigurations().Get(ctx, check.WebhookName, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("MutatingWebhookConfiguration %s: %w", check.WebhookName, err)
	}
	for _, one := range w.Webhooks {
		if len(one.ClientConfig.CABundle) == 0 {
			return "the server to put its authority into the webhook " + one.Name, nil
		}
	}
	return "", nil
}

// injectionPending tries the whole way with a pod that is never stored. A
// person who may not make pods is not stopped by that.
func (i *Installer) injectionPending(ctx context.Context) (string, error) {
	injected, err := check.TryInjection(ctx, i.cfg.Access.Client, metav1.NamespaceDefault)
	switch {
	case apierrors.IsForbidden(err), apierrors.IsNotFound(err):
		i.cfg.Note("skipped  trying the webhook with a pod: %v", err)
		return "", nil
	case err != nil:
		return "the API server to take a pod on trial: " + err.Error(), nil
	case !injected:
		return "the webhook to answer the API server", nil
	}
	return "", nil
}
