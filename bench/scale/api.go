package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"sync"
)

// object is one resource as the API server shows it.
type object = map[string]any

// resources are the lists that the Kubernetes door reads, by path.
type resources map[string]*list

type list struct {
	apiVersion, kind string
	items            []object
}

// api answers lists and watches as an API server does. Only EndpointSlices
// change.
type api struct {
	lists resources

	mu       sync.Mutex
	version  int                           // guarded by mu
	watchers map[chan []byte]chan struct{} // of slices, with the end of each; guarded by mu
}

const slicesPath = "/apis/discovery.k8s.io/v1/endpointslices"

func newAPI(lists resources) *api {
	return &api{lists: lists, version: 1, watchers: make(map[chan []byte]chan struct{})}
}

func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l := a.lists[r.URL.Path]
	query := r.URL.Query()
	switch {
	case l == nil:
		refuse(w, http.StatusNotFound, "NotFound")
	case query.Get("watch") == "":
		answer(w, http.StatusOK, object{
			"apiVersion": l.apiVersion, "kind": l.kind + "List", "metadata": object{"resourceVersion": "1"}, "items": l.items,
		})
	case query.Get("sendInitialEvents") != "":
		refuse(w, http.StatusUnprocessableEntity, "Invalid") // the client lists instead
	default:
		a.watch(w, r)
	}
}

func refuse(w http.ResponseWriter, code int, reason string) {
	answer(w, code, object{"apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "code": code})
}

func answer(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // the client sees what is missing
}

// watch sends changes until the client goes.
func (a *api) watch(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	flusher, ok := w.(http.Flusher)
	if !ok {
		return
	}
	flusher.Flush()
	events, gone := make(chan []byte), make(chan struct{})
	defer close(gone)
	if r.URL.Path == slicesPath {
		a.mu.Lock()
		a.watchers[events] = gone
		a.mu.Unlock()
	}
	for {
		select {
		case <-r.Context().Done():
			return
		case b := <-events:
			if _, err := w.Write(b); err != nil {
				return
			}
			flusher.Flush()
		}
	}
}

// change tells every watcher of a slice's new state.
func (a *api) change(slice object) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.version++
	slice["metadata"].(object)["resourceVersion"] = fmt.Sprint(a.version)
	b, err := json.Marshal(object{"type": "MODIFIED", "object": slice})
	if err != nil {
		return err
	}
	for events, gone := range a.watchers {
		select {
		case events <- append(b, '\n'):
		case <-gone:
			delete(a.watchers, events)
		}
	}
	if len(a.watchers) == 0 {
		return fmt.Errorf("nobody watches EndpointSlices")
	}
	return nil
}
