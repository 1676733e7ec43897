package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gvr "k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/leno-mesh/leno/control/catalog"
	"github.com/leno-mesh/leno/schema"
)

// customKinds are those that a cluster may or may not have.
func customKinds() map[kind]gvr.GroupVersionResource {
	return map[kind]gvr.GroupVersionResource{
		kindRoute:  {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"},
		kindPolicy: {Group: "leno.dev", Version: "v1alpha1", Resource: "accesspolicies"},
	}
}

func optional(k kind) bool {
	_, ok := customKinds()[k]
	return ok
}

// customChange gives what an HTTPRoute or an AccessPolicy brings, read and
// checked as the same thing in a file is. An HTTPRoute of gateways alone is
// none of Leno's: it brings nothing, and what it says is not judged.
func customChange(o *unstructured.Unstructured) (catalog.Change, error) {
	spec, _, _ := unstructured.NestedMap(o.Object, "spec")
	if o.GetKind() == string(kindRoute) && !keepServices(spec) {
		return nil, nil
	}
	metadata := map[string]any{"name": o.GetName(), "namespace": o.GetNamespace()}
	if created, ok, _ := unstructured.NestedString(o.Object, "metadata", "creationTimestamp"); ok {
		metadata["creationTimestamp"] = created
	}
	doc, err := json.Marshal(map[string]any{
		"apiVersion": o.GetAPIVersion(), "kind": o.GetKind(), "metadata": metadata, "spec": spec,
	})
	if err != nil {
		return nil, err
	}
	resources, err := schema.Parse(o.GetName(), doc)
	if err != nil {
		return nil, plain(err)
	}
	if len(resources) != 1 {
		return nil, fmt.Errorf("has %d resources in it", len(resources))
	}
	return resources[0].Change(), nil
}

// keepServices leaves only the parents that are Services, and says whether
// there are any.
func keepServices(spec map[string]any) bool {
	parents, _, _ := unstructured.NestedSlice(spec, "parentRefs")
	var kept []any
	for _, p := range parents {
		if ref, ok := p.(map[string]any); ok && ref["kind"] == string(kindService) {
			kept = append(kept, ref)
		}
	}
	if len(kept) > 0 {
		spec["parentRefs"] = kept
	}
	return len(kept) > 0
}

// plain leaves out file and line, which an object has not.
func plain(err error) error {
	var all schema.Errors
	if !errors.As(err, &all) {
		return err
	}
	lines := make([]string, len(all))
	for i, e := range all {
		lines[i] = e.Field + ": " + e.Message
	}
	return errors.New(strings.Join(lines, "; "))
}
