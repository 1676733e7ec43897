package kube

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// record is what an informer keeps of an object: its name and what Leno makes
// of it. Everything else is gone before it is stored, so a pod outside the
// mesh costs its name and address, not its spec.
type record struct {
	metav1.ObjectMeta
	value any   // by kind: the change it brings, *pod, *node, *namespace; nil for nothing
	err   error // why it could not be understood
}

// strip turns what the API server sent into a record. It is called again with
// its own result on some ways through an informer.
func strip(from any) (any, error) {
	switch o := from.(type) {
	case *corev1.Service:
		return recordOf(o, serviceChange(o), nil), nil
	case *discoveryv1.EndpointSlice:
		return recordOf(o, sliceChange(o), nil), nil
	case *corev1.Pod:
		return recordOf(o, podOf(o), nil), nil
	case *corev1.Node:
		return recordOf(o, nodeOf(o), nil), nil
	case *corev1.Namespace:
		return recordOf(o, &namespace{inject: injectWord(o.Labels, o.Annotations)}, nil), nil
	case *unstructured.Unstructured:
		change, err := customChange(o)
		return recordOf(o, change, err), nil
	default:
		return from, nil // a record, or a tombstone that holds one
	}
}

func recordOf(o metav1.Object, value any, err error) *record {
	if v := reflect.ValueOf(value); value == nil || v.Kind() == reflect.Pointer && v.IsNil() {
		value = nil
	}
	return &record{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: o.GetNamespace(), Name: o.GetName(), UID: o.GetUID(), ResourceVersion: o.GetResourceVersion(),
		},
		value: value, err: err,
	}
}

// namespace is what is kept of a Namespace.
type namespace struct {
	inject string // "enabled", "disabled" or ""
}

const injectKey = "leno.dev/inject"

// injectWord reads leno.dev/inject, which may be a label or an annotation.
func injectWord(labels, annotations map[string]string) string {
	if v, ok := labels[injectKey]; ok {
		return v
	}
	return annotations[injectKey]
}
