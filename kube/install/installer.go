package install

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/leno-mesh/leno/kube/kubeconfig"
	"github.com/leno-mesh/leno/kube/rollout"
)

// fieldManager owns the fields that installing sets. What others set in the
// same objects, as the server does with caBundle, stays theirs.
const fieldManager = "leno"

// Config says where and what to install.
type Config struct {
	Access    *kubeconfig.Access
	Namespace string // Leno's own; DefaultNamespace when empty
	Version   string // of Leno
	// Wait bounds each wait. Zero does not wait at all.
	Wait time.Duration
	// Note is told what is done, one line at a time.
	Note func(format string, args ...any)
}

// Installer installs, upgrades and uninstalls in one cluster.
type Installer struct {
	cfg Config
}

// New makes an installer. Nothing is sent yet.
func New(cfg Config) *Installer {
	cfg.Namespace = cmp.Or(cfg.Namespace, DefaultNamespace)
	if cfg.Note == nil {
		cfg.Note = func(string, ...any) {}
	}
	return &Installer{cfg: cfg}
}

// ref names one object.
type ref struct {
	APIVersion, Kind, Namespace, Name string
}

func refOf(o *unstructured.Unstructured) ref {
	return ref{o.GetAPIVersion(), o.GetKind(), o.GetNamespace(), o.GetName()}
}

// String is "Kind name", or "Kind namespace/name".
func (r ref) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

// resource finds where objects of a kind live.
func (i *Installer) resource(r ref) (dynamic.ResourceInterface, error) {
	gvk := schema.FromAPIVersionAndKind(r.APIVersion, r.Kind)
	m, err := i.cfg.Access.Mapper.RESTMapping(gvk.GroupKind(), gvk.Version)
	if err != nil {
		return nil, err
	}
	if m.Scope.Name() == meta.RESTScopeNameNamespace {
		return i.cfg.Access.Dynamic.Resource(m.Resource).Namespace(r.Namespace), nil
	}
	return i.cfg.Access.Dynamic.Resource(m.Resource), nil
}

// get gives an object, and nil when there is none.
func (i *Installer) get(ctx context.Context, r ref) (*unstructured.Unstructured, error) {
	in, err := i.resource(r)
	if meta.IsNoMatchError(err) {
		return nil, nil //nolint:nilnil // a kind that the cluster does not know has no objects
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	o, err := in.Get(ctx, r.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil //nolint:nilnil // the answer to the question
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r, err)
	}
	return o, nil
}

// apply brings one object to what it should be, whatever it was.
func (i *Installer) apply(ctx context.Context, o *unstructured.Unstructured) error {
	r := refOf(o)
	in, err := i.resource(r)
	if err != nil {
		return fmt.Errorf("%s: %w", r, err)
	}
	body, err := json.Marshal(o.Object)
	if err != nil {
		return fmt.Errorf("%s: %w", r, err)
	}
	force := true
	_, err = in.Patch(ctx, r.Name, types.ApplyPatchType, body, metav1.PatchOptions{FieldManager: fieldManager, Force: &force})
	if err != nil {
		return fmt.Errorf("applying %s: %w", r, err)
	}
	return nil
}

// remove deletes an object with what depends on it. One that is not there is
// removed.
func (i *Installer) remove(ctx context.Context, r ref) (existed bool, err error) {
	in, err := i.resource(r)
	if meta.IsNoMatchError(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", r, err)
	}
	policy := metav1.DeletePropagationBackground
	err = in.Delete(ctx, r.Name, metav1.DeleteOptions{PropagationPolicy: &policy})
	if apierrors.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("deleting %s: %w", r, err)
	}
	return true, nil
}

// await looks until nothing is missing or the time for one wait is over.
func (i *Installer) await(ctx context.Context, look rollout.Look) error {
	err := rollout.Wait{Limit: i.cfg.Wait, Note: i.cfg.Note}.Until(ctx, look)
	var late *rollout.LateError
	if errors.As(err, &late) {
		return fmt.Errorf("%w; run the same command again to go on, with a longer --wait if need be", err)
	}
	return err
}
