// Package demo plays a shop in a cluster: it owns one namespace, which is made
// when the play begins and is gone when it has ended, with all that is in it.
package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/leno-mesh/leno/kube/check"
	"github.com/leno-mesh/leno/kube/rollout"
)

// Namespace is where the play takes place.
const Namespace = "leno-demo"

// Part is one program of the play.
type Part struct {
	Name     string
	Args     []string // for the program leno
	Port     int32    // where it serves; 0 for one that only calls
	Replicas int32
}

// Config says who plays, and where.
type Config struct {
	Client kubernetes.Interface
	Leno   string // namespace of the control plane
	Place  string // the cluster's name, for people
	Parts  []Part
	Wait   time.Duration // bounds each wait
	// Note is told what is done, one line at a time.
	Note func(format string, args ...any)
}

// Play is a shop in a cluster.
type Play struct {
	cfg Config
}

// New prepares a play. Nothing is sent yet.
func New(cfg Config) *Play { return &Play{cfg: cfg} }

// Start brings the programs up, those that only call after the others, and
// returns when all are ready and have a proxy. After an error, too, there may be
// something for End to take away.
func (p *Play) Start(ctx context.Context) error {
	image, err := p.image(ctx)
	if err != nil {
		return err
	}
	if err := p.stage(ctx); err != nil {
		return err
	}
	for _, called := range []bool{true, false} {
		parts := slices.DeleteFunc(slices.Clone(p.cfg.Parts), func(x Part) bool { return (x.Port != 0) != called })
		for _, x := range parts {
			if err := p.create(ctx, &x, image); err != nil {
				return err
			}
		}
		for _, x := range parts {
			if err := p.ready(ctx, x.Name); err != nil {
				return err
			}
		}
	}
	return p.meshed(ctx)
}

// image finds what the control plane runs: the same program plays the shop.
func (p *Play) image(ctx context.Context) (*corev1.Container, error) {
	const server = "leno-server"
	d, err := p.cfg.Client.AppsV1().Deployments(p.cfg.Leno).Get(ctx, server, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("%s has no Leno in namespace %s; install it with leno install, or name its namespace with --leno-namespace", p.cfg.Place, p.cfg.Leno)
	}
	if err != nil {
		return nil, fmt.Errorf("deployment %s/%s: %w", p.cfg.Leno, server, err)
	}
	all := d.Spec.Template.Spec.Containers
	if len(all) == 0 {
		return nil, fmt.Errorf("deployment %s/%s has no container", p.cfg.Leno, server)
	}
	return &all[0], nil
}

// stage makes the namespace. One that a play which was cut off left behind
// goes first; one that is somebody else's stays as it is.
func (p *Play) stage(ctx context.Context) error {
	namespaces := p.cfg.Client.CoreV1().Namespaces()
	old, err := namespaces.Get(ctx, Namespace, metav1.GetOptions{})
	switch {
	case err == nil && !ours(old):
		return fmt.Errorf("%s has a namespace %s that the demo did not make; look what is in it, and take it away with kubectl delete namespace %[2]s if nobody needs it", p.cfg.Place, Namespace)
	case err == nil:
		p.cfg.Note("taking out what a demo before this one left")
		if err := p.End(ctx); err != nil {
			return err
		}
	case !apierrors.IsNotFound(err):
		return fmt.Errorf("namespace %s: %w", Namespace, err)
	}
	if _, err := namespaces.Create(ctx, namespace(), metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating namespace %s: %w", Namespace, err)
	}
	return nil
}

func (p *Play) create(ctx context.Context, x *Part, server *corev1.Container) error {
	c := p.cfg.Client
	if _, err := c.CoreV1().ServiceAccounts(Namespace).Create(ctx, account(x), metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating ServiceAccount %s: %w", x.Name, err)
	}
	if x.Port != 0 {
		if _, err := c.CoreV1().Services(Namespace).Create(ctx, service(x), metav1.CreateOptions{}); err != nil {
			return fmt.Errorf("creating Service %s: %w", x.Name, err)
		}
	}
	if _, err := c.AppsV1().Deployments(Namespace).Create(ctx, deployment(x, server), metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("creating Deployment %s: %w", x.Name, err)
	}
	return nil
}

func (p *Play) ready(ctx context.Context, name string) error {
	err := p.wait().Until(ctx, func(ctx context.Context) (string, error) {
		return rollout.Deployment(ctx, p.cfg.Client, Namespace, name)
	})
	var late *rollout.LateError
	if errors.As(err, &late) {
		return fmt.Errorf("%w; look for reasons with leno check", err)
	}
	return err
}

func (p *Play) wait() rollout.Wait { return rollout.Wait{Limit: p.cfg.Wait, Note: p.cfg.Note} }

// meshed fails when pods came up without a proxy.
func (p *Play) meshed(ctx context.Context) error {
	pods, err := p.pods(ctx)
	if err != nil {
		return err
	}
	var without []string
	for _, pod := range pods {
		if !check.Injected(&pod) {
			without = append(without, pod.Name)
		}
	}
	if len(without) > 0 {
		return fmt.Errorf("the webhook gave no proxy to %s; look for reasons with leno check", strings.Join(without, ", "))
	}
	return nil
}

func (p *Play) pods(ctx context.Context) ([]corev1.Pod, error) {
	all, err := p.cfg.Client.CoreV1().Pods(Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("pods of %s: %w", Namespace, err)
	}
	return all.Items, nil
}

// Died is an error when a program or a proxy has ended since the start.
func (p *Play) Died(ctx context.Context) error {
	pods, err := p.pods(ctx)
	if err != nil {
		return err
	}
	for _, pod := range pods {
		for _, s := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
			if s.RestartCount > 0 {
				return p.obituary(ctx, &pod, &s)
			}
		}
	}
	return nil
}

// obituary adds what the container said last: its pod goes with the demo.
func (p *Play) obituary(ctx context.Context, pod *corev1.Pod, s *corev1.ContainerStatus) error {
	what := fmt.Sprintf("container %s of pod %s died", s.Name, pod.Name)
	if end := s.LastTerminationState.Terminated; end != nil {
		what += fmt.Sprintf(" with exit status %d (%s)", end.ExitCode, end.Reason)
	}
	log, err := p.cfg.Client.CoreV1().Pods(Namespace).
		GetLogs(pod.Name, &corev1.PodLogOptions{Container: s.Name, Previous: true, TailLines: new(int64(1)), LimitBytes: new(int64(1024))}).DoRaw(ctx)
	if said := strings.TrimSpace(string(log)); err == nil && said != "" {
		what += "; it said: " + said
	}
	return errors.New(what)
}

// End takes the namespace away and waits until nothing of it is left. One that
// is not there, or that is somebody else's, is left alone.
func (p *Play) End(ctx context.Context) error {
	namespaces := p.cfg.Client.CoreV1().Namespaces()
	err := p.wait().Until(ctx, func(ctx context.Context) (string, error) {
		n, err := namespaces.Get(ctx, Namespace, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && !ours(n) {
			return "", nil
		}
		if err == nil && n.DeletionTimestamp == nil {
			err = namespaces.Delete(ctx, Namespace, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(n.UID))})
		}
		if err != nil && !apierrors.IsNotFound(err) {
			return "", fmt.Errorf("deleting namespace %s: %w; take it away with kubectl delete namespace %s", Namespace, err, Namespace)
		}
		return "namespace " + Namespace + " to go", nil
	})
	if err != nil && (ctx.Err() != nil || errors.As(err, new(*rollout.LateError))) {
		return fmt.Errorf("namespace %s is still going; see kubectl get namespace %[1]s", Namespace)
	}
	return err
}
