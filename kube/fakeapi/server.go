package fakeapi

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"github.com/leno-mesh/leno/kube/kubeconfig"
)

// Request is one that the server got, in the words of RBAC.
type Request struct {
	Verb, Group, Resource, Namespace, Name string
}

// Server is one API server.
type Server struct {
	// Version is what it says of itself. Denied, when set, says what the user
	// may not do. OnWrite, when set, changes an object that is being stored, as
	// admission and controllers would; it may call Put and Delete.
	Version string
	Denied  func(Request) bool
	OnWrite func(o *unstructured.Unstructured, dryRun bool)

	url   string
	mu    sync.Mutex // guards what follows
	kinds []kind
	store map[string]*unstructured.Unstructured // by path
	got   []Request
	count int
}

// New starts a server that ends with the test.
func New(t testing.TB) *Server {
	t.Helper()
	s := &Server{Version: "v1.34.0", kinds: builtin(), store: make(map[string]*unstructured.Unstructured)}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	s.url = h.URL
	return s
}

// Access is a way into this cluster.
func (s *Server) Access(t testing.TB) *kubeconfig.Access {
	t.Helper()
	a, err := kubeconfig.New(&rest.Config{Host: s.url, ContentConfig: rest.ContentConfig{
		ContentType: "application/json", AcceptContentTypes: "application/json", // it reads nothing else
	}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// URL is where it listens.
func (s *Server) URL() string { return s.url }

// Put stores an object as it is.
func (s *Server) Put(object map[string]any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(&unstructured.Unstructured{Object: object})
}

func (s *Server) put(o *unstructured.Unstructured) {
	k, ok := s.kindOf(o)
	if !ok {
		panic("fakeapi: no kind " + o.GetAPIVersion() + " " + o.GetKind())
	}
	s.store[k.path(o.GetNamespace(), o.GetName())] = o
}

// Objects lists what is stored, "Kind namespace/name", sorted.
func (s *Server) Objects() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []string{}
	for _, o := range s.store {
		out = append(out, strings.TrimPrefix(fmt.Sprintf("%s %s/%s", o.GetKind(), o.GetNamespace(), o.GetName()), "/"))
	}
	slices.Sort(out)
	return out
}

// Get gives a stored object, or nil.
func (s *Server) Get(apiVersion, kind, namespace, name string) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range s.store {
		if o.GetAPIVersion() == apiVersion && o.GetKind() == kind && o.GetNamespace() == namespace && o.GetName() == name {
			return o.DeepCopy()
		}
	}
	return nil
}

// Requests gives those that the server got, in order.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

func (s *Server) kindOf(o *unstructured.Unstructured) (kind, bool) {
	i := slices.IndexFunc(s.kinds, func(k kind) bool {
		return k.GroupVersion.String() == o.GetAPIVersion() && k.Kind == o.GetKind()
	})
	if i < 0 {
		return kind{}, false
	}
	return s.kinds[i], true
}

func (k kind) path(namespace, name string) string {
	p := prefix(k.GroupVersion)
	if k.Namespaced && namespace != "" {
		p += "/namespaces/" + namespace
	}
	p += "/" + k.Resource
	if name != "" {
		p += "/" + name
	}
	return p
}

// ServeHTTP answers as an API server does.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.URL.Path == "/version" {
		answer(w, http.StatusOK, map[string]string{"gitVersion": s.Version, "major": "1", "minor": "34"})
		return
	}
	if page, ok := s.discover(r.URL.Path); ok {
		answer(w, http.StatusOK, page)
		return
	}
	k, q, ok := s.parse(r)
	if !ok {
		refuse(w, apierrors.NewNotFound(schema.GroupResource{Resource: r.URL.Path}, ""))
		return
	}
	s.got = append(s.got, q)
	if s.Denied != nil && s.Denied(q) {
		refuse(w, apierrors.NewForbidden(schema.GroupResource{Group: q.Group, Resource: q.Resource}, q.Name, fmt.Errorf("denied")))
		return
	}
	switch q.Verb {
	case "get":
		s.get(w, r.URL.Path, q)
	case "list":
		s.list(w, r, k, q)
	case "delete":
		s.delete(w, r.URL.Path, q)
	default:
		s.write(w, r, k, q)
	}
}

// parse says which kind a path is about, and what is to be done.
func (s *Server) parse(r *http.Request) (kind, Request, bool) {
	for _, k := range s.kinds {
		rest, ok := strings.CutPrefix(r.URL.Path, prefix(k.GroupVersion)+"/")
		if !ok {
			continue
		}
		q := Request{Group: k.Group, Resource: k.Resource}
		if in, ok := strings.CutPrefix(rest, "namespaces/"); ok && k.Namespaced {
			q.Namespace, rest, _ = strings.Cut(in, "/")
		}
		var resource string
		if resource, q.Name, _ = strings.Cut(rest, "/"); resource != k.Resource || strings.Contains(q.Name, "/") {
			continue
		}
		q.Verb = map[string]string{"POST": "create", "PATCH": "patch", "PUT": "update", "DELETE": "delete", "GET": "get"}[r.Method]
		if q.Verb == "get" && q.Name == "" {
			q.Verb = "list"
		}
		return k, q, true
	}
	return kind{}, Request{}, false
}

func (s *Server) get(w http.ResponseWriter, path string, q Request) {
	o, ok := s.store[path]
	if !ok {
		refuse(w, notFound(q))
		return
	}
	answer(w, http.StatusOK, o.Object)
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, k kind, q Request) {
	by, err := labels.Parse(r.URL.Query().Get("labelSelector"))
	field, err2 := fields.ParseSelector(r.URL.Query().Get("fieldSelector"))
	if err != nil || err2 != nil {
		refuse(w, apierrors.NewBadRequest("selector"))
		return
	}
	items := []any{}
	for _, path := range slices.Sorted(maps.Keys(s.store)) {
		o := s.store[path]
		is, _ := s.kindOf(o)
		if is == k && (q.Namespace == "" || q.Namespace == o.GetNamespace()) && by.Matches(labels.Set(o.GetLabels())) &&
			field.Matches(fields.Set{"metadata.name": o.GetName(), "metadata.namespace": o.GetNamespace()}) {
			items = append(items, o.Object)
		}
	}
	answer(w, http.StatusOK, map[string]any{
		"apiVersion": k.GroupVersion.String(), "kind": k.Kind + "List", "metadata": map[string]any{"resourceVersion": "1"}, "items": items,
	})
}

func notFound(q Request) *apierrors.StatusError {
	return apierrors.NewNotFound(schema.GroupResource{Group: q.Group, Resource: q.Resource}, q.Name)
}

func refuse(w http.ResponseWriter, err *apierrors.StatusError) {
	status := err.Status()
	status.Kind, status.APIVersion = "Status", "v1"
	answer(w, int(status.Code), status)
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
