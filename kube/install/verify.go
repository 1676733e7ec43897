package install

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/discovery"
)

// Report is what was looked for after an uninstallation, and what of it is
// still there.
type Report struct {
	Kinds  int      // how many kinds were listed for Leno's label
	Names  []string // objects that were asked for by name
	Unseen []string // kinds that this person may not list
	Left   []string // what is still there
}

// Write says it for a person.
func (r *Report) Write(out io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Looked for:\n  objects of %d kinds with the label %s=%s, in all namespaces\n", r.Kinds, labelPartOf, partOf)
	for _, n := range r.Names {
		fmt.Fprintf(&b, "  %s\n", n)
	}
	for _, u := range r.Unseen {
		fmt.Fprintf(&b, "Not allowed to list: %s\n", u)
	}
	if len(r.Left) == 0 {
		b.WriteString("Nothing of it is left.\n")
	}
	for _, l := range r.Left {
		fmt.Fprintf(&b, "Left: %s\n", l)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// verify looks until nothing is left, since what depends on a deleted object
// goes a little later, or until the wait is over.
func (i *Installer) verify(ctx context.Context, objects []ref) (*Report, error) {
	var report *Report
	err := i.await(ctx, func(ctx context.Context) (string, error) {
		r, err := i.search(ctx, objects)
		if err != nil {
			return "", err
		}
		report = r
		if len(r.Left) == 0 || i.cfg.Wait == 0 {
			return "", nil
		}
		return strings.Join(r.Left, ", ") + " to go", nil
	})
	if report != nil && ctx.Err() == nil {
		return report, nil
	}
	return nil, err
}

// search asks for every object by its name, and for every kind by the label.
func (i *Installer) search(ctx context.Context, objects []ref) (*Report, error) {
	r := &Report{}
	for _, o := range objects {
		r.Names = append(r.Names, o.String())
		left, err := i.get(ctx, o)
		if err != nil {
			return nil, err
		}
		if left != nil {
			r.Left = append(r.Left, o.String())
		}
	}
	kinds, err := i.listable()
	if err != nil {
		return nil, err
	}
	for kind, resource := range kinds {
		if err := i.searchKind(ctx, r, kind, resource); err != nil {
			return nil, err
		}
	}
	bundles, err := i.serverMade(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range bundles {
		r.Left = append(r.Left, b.String())
	}
	r.Names = append(r.Names, "ConfigMap "+bundleName+" in every namespace")
	slices.Sort(r.Left)
	slices.Sort(r.Unseen)
	r.Left = slices.Compact(r.Left)
	return r, nil
}

func (i *Installer) searchKind(ctx context.Context, r *Report, kind string, resource schema.GroupVersionResource) error {
	all, err := i.cfg.Access.Dynamic.Resource(resource).List(ctx, metav1.ListOptions{LabelSelector: labelPartOf + "=" + partOf})
	switch {
	case apierrors.IsForbidden(err):
		r.Unseen = append(r.Unseen, resource.GroupResource().String())
		return nil
	case apierrors.IsNotFound(err), apierrors.IsMethodNotSupported(err):
		return nil // the kind went, or cannot be listed after all
	case err != nil:
		return fmt.Errorf("listing %s: %w", resource.Resource, err)
	}
	r.Kinds++
	for _, o := range all.Items {
		left := ref{Kind: kind, Namespace: o.GetNamespace(), Name: o.GetName()}
		r.Left = append(r.Left, left.String())
	}
	return nil
}

// listable gives every kind that can be listed, in one of its versions.
func (i *Installer) listable() (map[string]schema.GroupVersionResource, error) {
	i.cfg.Access.Discovery.Invalidate()
	lists, err := i.cfg.Access.Discovery.ServerPreferredResources()
	if err != nil && !discovery.IsGroupDiscoveryFailedError(err) {
		return nil, fmt.Errorf("kinds of the cluster: %w", err)
	}
	out := make(map[string]schema.GroupVersionResource)
	for _, l := range lists {
		gv, err := schema.ParseGroupVersion(l.GroupVersion)
		if err != nil {
			continue
		}
		for _, res := range l.APIResources {
			kind := res.Kind
			if _, twice := out[kind]; twice {
				kind += "." + gv.Group
			}
			if slices.Contains(res.Verbs, "list") && !strings.Contains(res.Name, "/") {
				out[kind] = gv.WithResource(res.Name)
			}
		}
	}
	return out, nil
}
