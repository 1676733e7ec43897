package install

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/leno-mesh/leno/kube/check"
)

// What the server makes while it runs. Everything else is in the chart.
var (
	serverSecrets = []string{"leno-trust-anchor", "leno-issuer", "leno-webhook"}                                    //nolint:gochecknoglobals // never written
	policies      = schema.GroupVersionResource{Group: "leno.dev", Version: "v1alpha1", Resource: "accesspolicies"} //nolint:gochecknoglobals // never written
)

const bundleName = "leno-bundle"

// ErrInUse is why Uninstall did nothing: there is something that would be
// hurt. The text says what, and how to go on.
var ErrInUse = errors.New("Leno is in use") //nolint:staticcheck // a name

// Uninstall takes out everything that Leno made, the webhook first, and then
// looks for what is left. Pods with a proxy, and policies that people wrote,
// stop it unless force is given.
func (i *Installer) Uninstall(ctx context.Context, force bool) (*Report, error) {
	if err := i.helmGoesFirst(ctx); err != nil {
		return nil, err
	}
	if err := i.inUse(ctx, force); err != nil {
		return nil, err
	}
	objects, err := i.made(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range objects {
		existed, err := i.remove(ctx, r)
		if err != nil {
			return nil, err
		}
		if !existed {
			continue
		}
		i.cfg.Note("deleted  %s", r)
		if err := i.settle(ctx, r); err != nil {
			return nil, err
		}
	}
	return i.verify(ctx, objects)
}

// settle waits where the next step needs this one to be over: a server that
// still runs would make its secrets again.
func (i *Installer) settle(ctx context.Context, r ref) error {
	switch {
	case i.cfg.Wait == 0:
		return nil
	case r.Kind == "Deployment":
		return i.await(ctx, i.serversRunning)
	case r.Kind == "CustomResourceDefinition", r.Kind == "Namespace":
		return i.gone(ctx, r)
	}
	return nil
}

func (i *Installer) serversRunning(ctx context.Context) (string, error) {
	pods, err := i.cfg.Access.Client.CoreV1().Pods(i.cfg.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labelName + "=" + serverName})
	if err != nil || len(pods.Items) == 0 {
		return "", err
	}
	return fmt.Sprintf("%d pods of %s to end", len(pods.Items), serverName), nil
}

// gone waits until an object is not there any more.
func (i *Installer) gone(ctx context.Context, r ref) error {
	return i.await(ctx, func(ctx context.Context) (string, error) {
		o, err := i.get(ctx, r)
		if err != nil || o == nil {
			return "", err
		}
		return r.String() + " to go", nil
	})
}

// helmGoesFirst leaves what Helm applied to Helm, which would otherwise keep
// a release without objects.
func (i *Installer) helmGoesFirst(ctx context.Context) error {
	server, err := i.get(ctx, ref{"apps/v1", "Deployment", i.cfg.Namespace, serverName})
	if err != nil {
		return err
	}
	if server == nil || server.GetLabels()[labelManagedBy] != managedByHelm {
		return nil
	}
	release := server.GetAnnotations()["meta.helm.sh/release-name"]
	return fmt.Errorf("Helm installed Leno in namespace %[1]s: run helm uninstall -n %[1]s %[2]s first, and then this again for what the server made itself", //nolint:staticcheck // a name
		i.cfg.Namespace, release)
}

// inUse says what would be hurt.
func (i *Installer) inUse(ctx context.Context, force bool) error {
	pods, err := check.InjectedPods(ctx, i.cfg.Access.Client)
	if err != nil {
		return err
	}
	written, err := i.policies(ctx)
	if err != nil || len(pods)+len(written) == 0 {
		return err
	}
	var b strings.Builder
	if len(pods) > 0 {
		fmt.Fprintf(&b, "\n%d pods still have a proxy; without a control plane their certificates end within a day, and then their calls to each other fail:\n", len(pods))
		for _, owner := range check.ByOwner(pods) {
			fmt.Fprintf(&b, "  %s\n", owner)
		}
		for _, namespace := range check.Namespaces(pods) {
			fmt.Fprintf(&b, "next: kubectl label namespace %[1]s %[2]s- ; kubectl rollout restart -n %[1]s deployment,statefulset,daemonset\n", namespace, check.InjectKey)
		}
		b.WriteString("next: where leno inject wrote the files: leno uninject FILE | kubectl apply -f -\n")
	}
	if len(written) > 0 {
		fmt.Fprintf(&b, "\n%d access policies go with their kind: %s\n", len(written), strings.Join(written, ", "))
		b.WriteString("next: kubectl get accesspolicies -A -o yaml > policies.yaml keeps them\n")
	}
	if force {
		i.cfg.Note("%s", strings.TrimSpace(b.String()))
		return nil
	}
	return fmt.Errorf("%w:\n%s\nor go on with --force", ErrInUse, b.String())
}

// policies lists the AccessPolicies as "namespace/name".
func (i *Installer) policies(ctx context.Context) (names []string, err error) {
	o, err := i.get(ctx, ref{"apiextensions.k8s.io/v1", "CustomResourceDefinition", "", policies.GroupResource().String()})
	if err != nil || o == nil {
		return nil, err
	}
	all, err := i.cfg.Access.Dynamic.Resource(policies).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("access policies: %w", err)
	}
	for _, p := range all.Items {
		names = append(names, p.GetNamespace()+"/"+p.GetName())
	}
	return names, nil
}

// made gives everything that Leno can have made in this cluster, in the order
// in which it goes: the chart's objects and those of the record from the last
// to the first, with the server's own between the server and its namespace.
func (i *Installer) made(ctx context.Context) ([]ref, error) {
	mine, err := i.namespaceIsOurs(ctx)
	if err != nil {
		return nil, err
	}
	// Two replicas, so that everything the chart can have is there.
	objects, err := Render(Params{Namespace: i.cfg.Namespace, Values: Values{"createNamespace": mine, "replicas": 2}})
	if err != nil {
		return nil, err
	}
	var all []ref
	for _, o := range objects {
		all = append(all, refOf(o))
	}
	if r, err := i.loadRecord(ctx); err != nil {
		return nil, err
	} else if r != nil {
		all = with(all, r.Objects)
	}
	own, err := i.serverMade(ctx)
	if err != nil {
		return nil, err
	}
	own = append(own, i.recordRef())
	slices.Reverse(all)
	slices.SortStableFunc(all, func(a, b ref) int { return goes(a) - goes(b) })
	at := slices.IndexFunc(all, func(r ref) bool { return goes(r) == lastToGo })
	if at < 0 {
		at = len(all)
	}
	return slices.Insert(all, at, own...), nil
}

// The webhook is the first to go, so that no pod waits for a server that is
// gone; the server is next, since it would make its own objects again; and its
// namespace is the last.
const (
	firstToGo = iota
	nextToGo
	inBetween
	lastToGo
)

func goes(r ref) int {
	switch r.Kind {
	case "MutatingWebhookConfiguration":
		return firstToGo
	case "Deployment":
		return nextToGo
	case "Namespace":
		return lastToGo
	}
	return inBetween
}

// serverMade finds what the server made: secrets and leases beside it, and a
// bundle in every namespace with meshed pods. A Secret that somebody else
// made, as cert-manager does, is theirs and stays.
func (i *Installer) serverMade(ctx context.Context) ([]ref, error) {
	c := i.cfg.Access.Client
	ours := metav1.ListOptions{LabelSelector: labelPartOf + "=" + partOf}
	var all []ref
	secrets, err := c.CoreV1().Secrets(i.cfg.Namespace).List(ctx, ours)
	if err != nil {
		return nil, fmt.Errorf("secrets of %s: %w", i.cfg.Namespace, err)
	}
	for _, s := range secrets.Items {
		if slices.Contains(serverSecrets, s.Name) {
			all = append(all, ref{"v1", "Secret", s.Namespace, s.Name})
		}
	}
	leases, err := c.CoordinationV1().Leases(i.cfg.Namespace).List(ctx, ours)
	if err != nil {
		return nil, fmt.Errorf("leases of %s: %w", i.cfg.Namespace, err)
	}
	for _, l := range leases.Items {
		all = append(all, ref{"coordination.k8s.io/v1", "Lease", l.Namespace, l.Name})
	}
	bundles, err := c.CoreV1().ConfigMaps("").List(ctx, metav1.ListOptions{FieldSelector: "metadata.name=" + bundleName})
	if err != nil {
		return nil, fmt.Errorf("bundles: %w", err)
	}
	for _, b := range bundles.Items {
		all = append(all, ref{"v1", "ConfigMap", b.Namespace, b.Name})
	}
	return all, nil
}
