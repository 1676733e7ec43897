//go:build linux

package kube_test

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestDemo runs the shop as a person does who has just installed Leno, and
// looks whether it is gone afterwards.
func TestDemo(t *testing.T) {
	t.Parallel()
	c := withLeno(t)
	out, complaint, code := cli(t, c, "demo", "--kubernetes", "--duration", "10s", "-o", "json")
	if code != 0 {
		t.Fatalf("exit status %d\n%s%s", code, out, complaint)
	}
	var said struct {
		Services []struct {
			Name        string
			SuccessRate *float64 `json:"success_rate"`
			Instances   int
		}
		Edges []struct {
			Src, Dst string
			ClientID string `json:"client_id"`
			ServerID string `json:"server_id"`
			Secured  bool
			RPS      float64
		}
		Proxies []struct {
			Workload string
			RSSBytes uint64 `json:"rss_bytes"`
		}
	}
	if err := json.Unmarshal([]byte(out), &said); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(said.Services) != 5 || len(said.Edges) != 7 || len(said.Proxies) != 7 {
		t.Errorf("%d services, %d edges and %d proxies; want 5, 7 and 7\n%s", len(said.Services), len(said.Edges), len(said.Proxies), out)
	}
	for _, s := range said.Services {
		if s.SuccessRate == nil || *s.SuccessRate <= 0.5 || s.Name == "catalog" && s.Instances != 2 {
			t.Errorf("service %+v", s)
		}
	}
	for _, e := range said.Edges {
		const of = "spiffe://cluster.local/ns/leno-demo/sa/"
		if !e.Secured || e.RPS <= 0 || e.ClientID != of+e.Src || e.ServerID != of+e.Dst {
			t.Errorf("edge %+v", e)
		}
	}
	for _, p := range said.Proxies {
		if p.RSSBytes == 0 {
			t.Errorf("proxy %+v", p)
		}
	}
	if out, err := c.Try(t.Context(), "get", "namespace", "leno-demo"); err == nil || !strings.Contains(err.Error()+out, "NotFound") {
		t.Errorf("the demo's namespace: %s, %v", out, err)
	}
}
