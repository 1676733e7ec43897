package cli

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/control/operator"
)

func TestSelector(t *testing.T) {
	labels := map[string]string{"app": "web", "tier": "front"}
	for s, want := range map[string]bool{
		"app=web": true, "app==web": true, "app=api": false, "app!=api": true, "tier": true, "!tier": false, "!canary": true,
		"app=web,tier!=cache": true, "app=web,canary": false, "other!=x": true,
	} {
		by, err := parseSelector(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := by.matches(labels); got != want {
			t.Errorf("%s: %v", s, got)
		}
	}
	for _, bad := range []string{"app in (a,b)", "=x", "a,,b", "!"} {
		if _, err := parseSelector(bad); err == nil {
			t.Errorf("-l %q was taken", bad)
		}
	}
}

// mesh answers as a control plane does that has three deployments.
func testMesh(t *testing.T) *operator.Client {
	t.Helper()
	proxies := []operator.Proxy{
		{Workload: "w1", Name: "web-1", Namespace: "shop", ServiceAccount: "front", Title: "web", Owner: "deployment/web", Labels: map[string]string{"app": "web"}},
		{Workload: "w2", Name: "cart-1", Namespace: "shop", ServiceAccount: "cart", Title: "cart", Owner: "deployment/cart"},
		{Workload: "w3", Name: "db-0", Namespace: "data", ServiceAccount: "db", Title: "db", Owner: "statefulset/db"},
	}
	endpoints := []operator.Endpoint{
		{Namespace: "shop", Service: "www", Workload: "w1"},
		{Namespace: "shop", Service: "cart", Workload: "w2"},
		{Namespace: "data", Service: "db", Workload: "w3"},
		{Namespace: "shop", Service: "plain"},
	}
	mux := http.NewServeMux()
	for path, v := range map[string]any{"/leno/v1/proxies": proxies, "/leno/v1/endpoints": endpoints} {
		mux.HandleFunc(path, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(v) })
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	c := operator.NewClientOver(operator.Way{Dial: func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", s.Listener.Addr().String())
	}})
	t.Cleanup(c.Close)
	return c
}

func TestWords(t *testing.T) {
	c := testMesh(t)
	for _, test := range []struct {
		said                        string
		in                          words
		titles, services, workloads string // those that are chosen
		wrong                       string
	}{
		{said: "", titles: "web cart db", services: "www cart db plain", workloads: "w1 w2 w3"},
		{said: "web", titles: "web", services: "www", workloads: "w1"},
		{said: "www.shop", titles: "web", services: "www", workloads: "w1"},
		{said: "web.data", wrong: "nothing in the mesh is web.data"},
		{said: "deploy/web", titles: "web", services: "www", workloads: "w1"},
		{said: "deployments/web sts/db", titles: "web db", services: "www db", workloads: "w1 w3"},
		{said: "sts/web", wrong: "nothing in the mesh is sts/web"},
		{said: "svc/www", titles: "web", services: "www", workloads: "w1"},
		{said: "svc/plain", services: "plain"},
		{said: "pod/cart-1", titles: "cart", services: "cart", workloads: "w2"},
		{said: "sa/front", titles: "web", services: "www", workloads: "w1"},
		{said: "ns/shop", titles: "web cart", services: "www cart plain", workloads: "w1 w2"},
		{said: "deploy/web", in: words{scope: scope{namespace: "data"}}, wrong: "nothing in the mesh is deploy/web"},
		{in: words{labels: "app=web"}, titles: "web", services: "www", workloads: "w1"},
		{in: words{labels: "app=api"}, wrong: "nothing in the mesh is labelled app=api"},
		{said: "ns/shop", in: words{labels: "app!=web"}, titles: "cart", services: "cart", workloads: "w2"},
		{said: "gateway/x", wrong: "want NAME"},
	} {
		t.Run(test.said+" -l "+test.in.labels, func(t *testing.T) {
			p, err := test.in.pick(t.Context(), c, strings.Fields(test.said))
			if test.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), test.wrong) {
					t.Errorf("got %v, want %q in it", err, test.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := []string{}
			for _, x := range [][2]string{{"shop", "web"}, {"shop", "cart"}, {"data", "db"}} {
				if p.title(x[0], x[1]) {
					got = append(got, x[1])
				}
			}
			same(t, "titles", got, test.titles)
			got = nil
			for _, x := range [][2]string{{"shop", "www"}, {"shop", "cart"}, {"data", "db"}, {"shop", "plain"}} {
				if p.service(x[0], x[1]) {
					got = append(got, x[1])
				}
			}
			same(t, "services", got, test.services)
			got = nil
			for _, x := range [][2]string{{"shop", "w1"}, {"shop", "w2"}, {"data", "w3"}} {
				if p.workload(x[0], x[1]) {
					got = append(got, x[1])
				}
			}
			same(t, "workloads", got, test.workloads)
		})
	}
}

func same(t *testing.T, what string, got []string, want string) {
	t.Helper()
	if !slices.Equal(got, strings.Fields(want)) {
		t.Errorf("%s %q, want %q", what, got, want)
	}
}
