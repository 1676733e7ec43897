package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/leno-mesh/leno/cli/shop"
	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/control/store"
)

// demoNumbers is what the demo measured at one moment.
type demoNumbers struct {
	services []store.ServiceStat
	edges    []store.Edge
	proxies  []demoProxy
}

// demoReport is the form of -o json.
type demoReport struct {
	Services []demoService `json:"services"`
	Edges    []demoEdge    `json:"edges"`
	Proxies  []demoProxy   `json:"proxies"`
}

type demoService struct {
	Name        string   `json:"name"`
	SuccessRate *float64 `json:"success_rate"` // 0 to 1
	RPS         float64  `json:"rps"`
	P50         *float64 `json:"p50_ms"`
	P95         *float64 `json:"p95_ms"`
	P99         *float64 `json:"p99_ms"`
	Instances   int      `json:"instances"`
}

type demoEdge struct {
	Src         string   `json:"src"`
	Dst         string   `json:"dst"`
	ClientID    string   `json:"client_id"`
	ServerID    string   `json:"server_id"`
	Secured     bool     `json:"secured"`
	SuccessRate *float64 `json:"success_rate"` // 0 to 1
	RPS         float64  `json:"rps"`
}

type demoProxy struct {
	Workload   string  `json:"workload"`
	RSSBytes   uint64  `json:"rss_bytes"`
	CPUSeconds float64 `json:"cpu_seconds"`
}

// traffic asks the control plane about the services of the shop and the edges
// between them, in one namespace.
func (n *demoNumbers) traffic(ctx context.Context, c *operator.Client, namespace string, over time.Duration) error {
	stat, err := askGolden(ctx, c, "stat", over)
	if err != nil {
		return err
	}
	edges, err := askGolden(ctx, c, "edges", over)
	if err != nil {
		return err
	}
	n.services = slices.DeleteFunc(stat.Services, func(v store.ServiceStat) bool {
		_, ok := shop.Find(v.Name)
		return !ok || v.Namespace != namespace
	})
	n.edges = slices.DeleteFunc(edges.Edges, func(e store.Edge) bool { return e.SrcNS != namespace || e.DstNS != namespace })
	return nil
}

func (n *demoNumbers) report() demoReport {
	r := demoReport{Services: []demoService{}, Edges: []demoEdge{}, Proxies: n.proxies}
	for _, v := range n.services {
		r.Services = append(r.Services, demoService{v.Name, v.SuccessRate, v.RPS, v.P50, v.P95, v.P99, v.Instances})
	}
	for _, e := range n.edges {
		r.Edges = append(r.Edges, demoEdge{e.Src, e.Dst, e.ClientID, e.ServerID, e.Secured, e.SuccessRate, e.RPS})
	}
	return r
}

// verdict is an error when an edge was not secured.
func (n *demoNumbers) verdict() error {
	var all []string
	for _, e := range n.edges {
		if !e.Secured || e.ClientID == "" || e.ServerID == "" {
			all = append(all, e.Src+" -> "+e.Dst)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("not secured: %s; look for reasons with leno check", strings.Join(all, ", "))
}

// missing is an error when an edge of the plan saw no call.
func (n *demoNumbers) missing() error {
	var all []string
	for _, want := range shop.Edges() {
		if !slices.ContainsFunc(n.edges, func(e store.Edge) bool { return e.Src == want.Src && e.Dst == want.Dst && e.RPS > 0 }) {
			all = append(all, want.Src+" -> "+want.Dst)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return errors.New("no calls were seen on: " + strings.Join(all, ", "))
}

// showDemo writes the numbers, in place on a terminal.
func (a *app) showDemo(s scene, n *demoNumbers, since time.Duration) error {
	var b strings.Builder
	if isTerminal(a.Out) {
		b.WriteString(clearScreen)
	}
	n.write(&b, since)
	if isTerminal(a.Out) {
		fmt.Fprintf(&b, "\nFrom another terminal:\n%s\nCtrl-C ends everything.\n", s.hints())
	} else {
		b.WriteByte('\n')
	}
	_, err := io.WriteString(a.Out, b.String())
	return err
}

func (n *demoNumbers) write(b *strings.Builder, since time.Duration) {
	var rss uint64
	var cpu float64
	for _, p := range n.proxies {
		rss += p.RSSBytes
		cpu += p.CPUSeconds
	}
	fmt.Fprintf(b, "The shop, after %s. %d proxies use %s of memory and %.1f %% of one CPU together.\n\n",
		duration(since), len(n.proxies), size(float64(rss)), cpu/max(since.Seconds(), 1)*100)
	services := &table{head: []string{"SERVICE", ">INSTANCES", ">SUCCESS", ">RPS", ">LATENCY_P50", ">LATENCY_P95", ">LATENCY_P99"}, empty: "No numbers yet."}
	for _, v := range n.services {
		services.add(v.Name, whole(float64(v.Instances)), percent(v.SuccessRate), rps(v.RPS), millis(v.P50), millis(v.P95), millis(v.P99))
	}
	_ = services.write(b)
	b.WriteByte('\n')
	edges := &table{head: []string{"SRC", "DST", ">SUCCESS", ">RPS", "CLIENT_ID", "SERVER_ID", "SECURED"}, empty: "No calls yet."}
	for _, e := range n.edges {
		edges.add(e.Src, e.Dst, percent(e.SuccessRate), rps(e.RPS), shortID(e.ClientID), shortID(e.ServerID), tick(e.Secured))
	}
	_ = edges.write(b)
}
