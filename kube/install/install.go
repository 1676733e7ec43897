package install

import (
	"context"
	"fmt"
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Install puts Leno into the cluster and waits until it works. A second run
// with the same values finishes what the first did not; other values or
// another version are left to Upgrade.
func (i *Installer) Install(ctx context.Context, v Values) error {
	old, err := i.before(ctx)
	if err != nil {
		return err
	}
	switch {
	case old == nil || !old.Complete && old.Version == i.cfg.Version:
	case old.Version != i.cfg.Version:
		return fmt.Errorf("namespace %s has Leno %s already, and this is %s; use leno upgrade", i.cfg.Namespace, old.Version, i.cfg.Version)
	case !sameValues(old.Values, v):
		return fmt.Errorf("namespace %s has Leno with other values already; use leno upgrade, which keeps them and changes what you say", i.cfg.Namespace)
	}
	return i.bring(ctx, old, v)
}

// Upgrade brings an installation to this version. The values of before stay,
// with v laid over them; reset forgets them.
func (i *Installer) Upgrade(ctx context.Context, v Values, reset bool) error {
	old, err := i.before(ctx)
	if err != nil {
		return err
	}
	if old == nil {
		return fmt.Errorf("namespace %s has no Leno that leno install made; use leno install, or apply leno install --dry-run -o yaml where you keep such files", i.cfg.Namespace)
	}
	if old.Version != i.cfg.Version {
		i.cfg.Note("Leno %s becomes %s", old.Version, i.cfg.Version)
	}
	return i.bring(ctx, old, old.after(v, reset))
}

// Values gives what Upgrade would apply.
func (i *Installer) Values(ctx context.Context, v Values, reset bool) (Values, error) {
	old, err := i.loadRecord(ctx)
	if err != nil {
		return nil, err
	}
	return old.after(v, reset), nil
}

// sameValues compares values as they are written down.
func sameValues(a, b Values) bool {
	return len(a) == 0 && len(b) == 0 || reflect.DeepEqual(normal(a), normal(b))
}

// before looks at what is there, and refuses what another tool looks after.
func (i *Installer) before(ctx context.Context) (*record, error) {
	server, err := i.get(ctx, ref{"apps/v1", "Deployment", i.cfg.Namespace, serverName})
	if err != nil {
		return nil, err
	}
	if server != nil && server.GetLabels()[labelManagedBy] == managedByHelm {
		return nil, fmt.Errorf("namespace %s has Leno installed by Helm; use helm upgrade there", i.cfg.Namespace)
	}
	if err := i.elsewhere(ctx); err != nil {
		return nil, err
	}
	return i.loadRecord(ctx)
}

// elsewhere refuses a second Leno: its cluster-wide objects have one name.
func (i *Installer) elsewhere(ctx context.Context) error {
	b, err := i.get(ctx, ref{"rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "", serverName})
	if err != nil || b == nil {
		return err
	}
	subjects, _, _ := unstructured.NestedSlice(b.Object, "subjects")
	for _, s := range subjects {
		m, _ := s.(map[string]any)
		if namespace, _ := m["namespace"].(string); namespace != "" && namespace != i.cfg.Namespace {
			return fmt.Errorf("this cluster has Leno in namespace %s already; say --leno-namespace %s, or run leno uninstall with it first", namespace, namespace)
		}
	}
	return nil
}

// bring makes the cluster what the values say: the namespace, the record of
// what is going to be, the objects, and then away with what is no longer.
func (i *Installer) bring(ctx context.Context, old *record, v Values) error {
	objects, err := i.plan(ctx, v)
	if err != nil {
		return err
	}
	if len(objects) > 0 && objects[0].GetKind() == "Namespace" {
		if err := i.applyAll(ctx, objects[:1]); err != nil {
			return err
		}
		objects = objects[1:]
	}
	now := &record{Version: i.cfg.Version, Values: v}
	for _, o := range objects {
		now.Objects = append(now.Objects, refOf(o))
	}
	during := *now
	if old != nil {
		during.Objects = with(old.Objects, now.Objects)
	}
	if err := i.saveRecord(ctx, &during); err != nil {
		return err
	}
	if err := i.applyAll(ctx, objects); err != nil {
		return err
	}
	if err := i.prune(ctx, during.Objects, now.Objects); err != nil {
		return err
	}
	if err := i.ready(ctx); err != nil {
		return err
	}
	now.Complete = true
	return i.saveRecord(ctx, now)
}

// plan renders for this cluster: a namespace that somebody else made stays
// theirs.
func (i *Installer) plan(ctx context.Context, v Values) ([]*unstructured.Unstructured, error) {
	mine, err := i.namespaceIsOurs(ctx)
	if err != nil {
		return nil, err
	}
	return Render(Params{
		Version: i.cfg.Version, Namespace: i.cfg.Namespace, Values: Values{"createNamespace": mine}.Merge(v),
	})
}

// namespaceIsOurs says whether the namespace is Leno's to make and to delete.
// One that is on its way out is waited for first.
func (i *Installer) namespaceIsOurs(ctx context.Context) (bool, error) {
	r := ref{"v1", "Namespace", "", i.cfg.Namespace}
	n, err := i.get(ctx, r)
	if err != nil || n == nil {
		return err == nil, err
	}
	if n.GetDeletionTimestamp() != nil {
		err := i.gone(ctx, r)
		return err == nil, err
	}
	labels := n.GetLabels()
	if labels[labelPartOf] == partOf && labels[labelManagedBy] == managedBy {
		return true, nil
	}
	return false, nil
}

func (i *Installer) applyAll(ctx context.Context, objects []*unstructured.Unstructured) error {
	for _, o := range objects {
		if err := i.apply(ctx, o); err != nil {
			return err
		}
		i.cfg.Note("applied  %s", refOf(o))
	}
	return nil
}

// prune deletes what was applied once and is not in the chart any more, the
// last applied first.
func (i *Installer) prune(ctx context.Context, was, is []ref) error {
	for _, r := range slices.Backward(was) {
		if slices.Contains(is, r) {
			continue
		}
		existed, err := i.remove(ctx, r)
		if err != nil {
			return err
		}
		if existed {
			i.cfg.Note("deleted  %s, which this version does not have", r)
		}
	}
	return nil
}
