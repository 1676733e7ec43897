package install

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// recordName is the ConfigMap that remembers an installation: with it an
// upgrade keeps the values and knows what a newer chart no longer has.
const recordName = "leno-install"

// record is what was applied. It is written before anything is, with the
// objects of before and after, so that a run that was cut off loses nothing.
type record struct {
	Version  string
	Values   Values
	Complete bool // the run came to its end
	Objects  []ref
}

func (i *Installer) recordRef() ref { return ref{"v1", "ConfigMap", i.cfg.Namespace, recordName} }

// loadRecord gives the record, and nil when there is none.
func (i *Installer) loadRecord(ctx context.Context) (*record, error) {
	o, err := i.get(ctx, i.recordRef())
	if err != nil || o == nil {
		return nil, err
	}
	data, _, _ := unstructured.NestedStringMap(o.Object, "data")
	r := &record{Version: data["version"], Complete: data["complete"] == "true"}
	if err := yaml.Unmarshal([]byte(data["values"]), &r.Values); err != nil {
		return nil, fmt.Errorf("the values in %s: %w; delete it to start from the chart's defaults", i.recordRef(), err)
	}
	for line := range strings.Lines(data["objects"]) {
		if f := strings.Fields(line); len(f) == 4 {
			r.Objects = append(r.Objects, ref{f[0], f[1], strings.Trim(f[2], "-"), f[3]})
		}
	}
	return r, nil
}

func (i *Installer) saveRecord(ctx context.Context, r *record) error {
	values, err := yaml.Marshal(map[string]any(r.Values))
	if err != nil {
		return fmt.Errorf("values: %w", err)
	}
	var lines strings.Builder
	for _, o := range r.Objects {
		namespace := o.Namespace
		if namespace == "" {
			namespace = "-"
		}
		fmt.Fprintln(&lines, o.APIVersion, o.Kind, namespace, o.Name)
	}
	return i.apply(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{
			"name": recordName, "namespace": i.cfg.Namespace,
			"labels": map[string]any{labelPartOf: partOf, labelManagedBy: managedBy},
		},
		"data": map[string]any{
			"version": r.Version, "values": string(values), "complete": fmt.Sprint(r.Complete), "objects": lines.String(),
		},
	}})
}

// with gives the objects of both lists, each once.
func with(old, more []ref) []ref {
	out := slices.Clone(old)
	for _, r := range more {
		if !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	return out
}

// after gives the values of an upgrade: those of before with v laid over them.
func (r *record) after(v Values, reset bool) Values {
	if r == nil || reset {
		return v
	}
	return r.Values.Merge(v)
}
