// Package rollout waits until a cluster has done what it was told, and says
// what it waits for: how far a Deployment is, and what its pods say themselves.
package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// pollEvery is how often a wait looks again.
const pollEvery = 500 * time.Millisecond

// Look says what is still missing, and "" when nothing is.
type Look func(context.Context) (pending string, err error)

// Wait is how one waits.
type Wait struct {
	// Limit bounds each wait. Zero looks once.
	Limit time.Duration
	// Note is told what is waited for, when that changes.
	Note func(format string, args ...any)
}

// LateError is a wait that was over before what it waited for.
type LateError struct {
	After   time.Duration
	Pending string // as the last look said
}

// Error says for what one waited, and how long.
func (e *LateError) Error() string { return fmt.Sprintf("not ready after %s: %s", e.After, e.Pending) }

// Until looks again and again until nothing is missing. The error is that of a
// look, a *LateError, or that of the context.
func (w Wait) Until(ctx context.Context, look Look) error {
	if w.Limit == 0 {
		pending, err := look(ctx)
		if err == nil && pending != "" {
			err = &LateError{Pending: pending}
		}
		return err
	}
	var late LateError
	ctx, cancel := context.WithTimeoutCause(ctx, w.Limit, &late)
	defer cancel()
	for {
		pending, err := look(ctx)
		switch {
		case err != nil && ctx.Err() == nil:
			return err
		case err == nil && pending == "":
			return nil
		case err == nil && pending != late.Pending:
			w.Note("waiting  %s", pending)
			late.Pending = pending
		}
		select {
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), &late) {
				return &LateError{After: w.Limit, Pending: late.Pending}
			}
			return ctx.Err()
		case <-time.After(pollEvery):
		}
	}
}

// Deployment says how far the rollout of one is, and what keeps its pods from
// being ready.
func Deployment(ctx context.Context, c kubernetes.Interface, namespace, name string) (pending string, err error) {
	d, err := c.AppsV1().Deployments(namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return "", fmt.Errorf("deployment %s/%s: %w", namespace, name, err)
	}
	ready, want := replicas(d)
	if ready == want && d.Status.Replicas == want && d.Status.ObservedGeneration >= d.Generation {
		return "", nil
	}
	pods, err := c.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(d.Spec.Selector)})
	if err != nil {
		return "", fmt.Errorf("pods of %s/%s: %w", namespace, name, err)
	}
	pending = fmt.Sprintf("Deployment %s: %d of %d ready", name, ready, want)
	if why := whyNot(pods.Items); len(why) > 0 {
		pending += " (" + strings.Join(why, "; ") + ")"
	}
	return pending, nil
}

func replicas(d *appsv1.Deployment) (ready, want int32) {
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
	return append(out, proxyPending(p)...)
}

// proxyPending says what keeps the containers that start first.
func proxyPending(p *corev1.Pod) (out []string) {
	for _, c := range p.Status.InitContainerStatuses {
		if w := c.State.Waiting; w != nil && w.Message != "" {
			out = append(out, c.Name+" "+w.Reason+": "+w.Message)
		}
	}
	return out
}
