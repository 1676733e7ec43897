package fakeapi

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/json"
)

// delete takes what is in a namespace, and the objects of a kind, with it.
func (s *Server) delete(w http.ResponseWriter, path string, q Request) {
	o, ok := s.store[path]
	if !ok {
		refuse(w, notFound(q))
		return
	}
	delete(s.store, path)
	group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
	maps.DeleteFunc(s.store, func(_ string, other *unstructured.Unstructured) bool {
		return o.GetKind() == "Namespace" && other.GetNamespace() == o.GetName() ||
			o.GetKind() == "CustomResourceDefinition" && strings.HasPrefix(other.GetAPIVersion(), group+"/")
	})
	if o.GetKind() == "CustomResourceDefinition" {
		s.kinds = slices.DeleteFunc(s.kinds, func(k kind) bool { return k.Group == group })
	}
	answer(w, http.StatusOK, o.Object)
}

func (s *Server) write(w http.ResponseWriter, r *http.Request, k kind, q Request) {
	body, err := io.ReadAll(r.Body)
	o := &unstructured.Unstructured{Object: map[string]any{}}
	if err == nil {
		err = json.Unmarshal(body, &o.Object)
	}
	if err != nil {
		refuse(w, apierrors.NewBadRequest(err.Error()))
		return
	}
	o.SetGroupVersionKind(k.WithKind(k.Kind))
	if q.Namespace != "" {
		o.SetNamespace(q.Namespace)
	}
	if k.Kind == "SelfSubjectAccessReview" {
		answer(w, http.StatusCreated, s.review(o))
		return
	}
	if o.GetName() == "" {
		s.count++
		o.SetName(fmt.Sprint(o.GetGenerateName(), s.count))
	}
	path := k.path(o.GetNamespace(), o.GetName())
	old, exists := s.store[path]
	switch {
	case q.Verb == "create" && exists:
		refuse(w, apierrors.NewAlreadyExists(schema.GroupResource{Group: q.Group, Resource: q.Resource}, o.GetName()))
		return
	case q.Verb == "patch" && exists:
		o.Object = merge(old.Object, o.Object)
	case k.Namespaced && !s.hasNamespace(o.GetNamespace()):
		refuse(w, apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, o.GetNamespace()))
		return
	}
	s.keep(w, o, path, len(r.URL.Query()["dryRun"]) > 0)
}

func (s *Server) keep(w http.ResponseWriter, o *unstructured.Unstructured, path string, dryRun bool) {
	if s.OnWrite != nil {
		s.mu.Unlock()
		s.OnWrite(o, dryRun)
		s.mu.Lock()
	}
	if !dryRun {
		s.store[path] = o
		s.learn(o)
	}
	answer(w, http.StatusOK, o.Object)
}

func (s *Server) hasNamespace(name string) bool {
	_, ok := s.store["/api/v1/namespaces/"+name]
	return ok || name == "default"
}

// learn makes the kind of a definition known.
func (s *Server) learn(o *unstructured.Unstructured) {
	if o.GetKind() != "CustomResourceDefinition" {
		return
	}
	group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
	name, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
	plural, _, _ := unstructured.NestedString(o.Object, "spec", "names", "plural")
	versions, _, _ := unstructured.NestedSlice(o.Object, "spec", "versions")
	for _, v := range versions {
		version, _ := v.(map[string]any)["name"].(string)
		k := kind{schema.GroupVersion{Group: group, Version: version}, name, plural, true}
		if !slices.Contains(s.kinds, k) {
			s.kinds = append(s.kinds, k)
		}
	}
}

// review answers a SelfSubjectAccessReview.
func (s *Server) review(o *unstructured.Unstructured) map[string]any {
	at, _, _ := unstructured.NestedStringMap(o.Object, "spec", "resourceAttributes")
	q := Request{Verb: at["verb"], Group: at["group"], Resource: at["resource"], Namespace: at["namespace"], Name: at["name"]}
	o.Object["status"] = map[string]any{"allowed": s.Denied == nil || !s.Denied(q)}
	return o.Object
}

// merge lays one object over another: maps are merged, lists are replaced.
func merge(below, above map[string]any) map[string]any {
	out := maps.Clone(below)
	for name, v := range above {
		a, isMap := out[name].(map[string]any)
		b, isMapToo := v.(map[string]any)
		if isMap && isMapToo {
			v = merge(a, b)
		}
		out[name] = v
	}
	return out
}
