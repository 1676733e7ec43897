package webhook

import (
	"bytes"
	"fmt"
	"reflect"

	registrationv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// annotatedEntry is the entry for namespaces that opt in by an annotation. The
// API server chooses by labels alone, so the entry names these namespaces one
// by one; the chart cannot know them.
const annotatedEntry = "namespace-annotation.inject.leno.dev"

// labelledEntry is the chart's entry for namespaces with the label. The other
// one is like it but for how it chooses namespaces.
const labelledEntry = "namespace.inject.leno.dev"

// op is one operation of a JSON patch (RFC 6902).
type op struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// changes gives the operations that bring the configuration in line: the
// authority in every entry, and an entry for the annotated namespaces. That entry
// stays as it is while nobody knows them.
func changes(hooks []registrationv1.MutatingWebhook, ca []byte, annotated []string, known bool) []op {
	var ops []op
	at, like := -1, -1
	for i := range hooks {
		switch hooks[i].Name {
		case annotatedEntry:
			at = i
		case labelledEntry:
			like = i
		}
		if (i != at || !known) && !bytes.Equal(hooks[i].ClientConfig.CABundle, ca) {
			ops = append(ops, op{"add", fmt.Sprintf("/webhooks/%d/clientConfig/caBundle", i), ca})
		}
	}
	switch {
	case !known:
		return ops
	case len(annotated) == 0 && at >= 0:
		return append(ops, op{"remove", fmt.Sprintf("/webhooks/%d", at), nil})
	case len(annotated) == 0 || like < 0:
		return ops
	}
	want := hooks[like].DeepCopy()
	want.Name, want.ClientConfig.CABundle = annotatedEntry, ca
	want.NamespaceSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
		{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: annotated},
	}}
	switch {
	case at < 0:
		ops = append(ops, op{"add", "/webhooks/-", want})
	case !reflect.DeepEqual(*want, hooks[at]):
		ops = append(ops, op{"replace", fmt.Sprintf("/webhooks/%d", at), want})
	}
	return ops
}
