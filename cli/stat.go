package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/control/store"
)

// window is how far back rates look; it is long enough to be steady and short
// enough to show what happens now.
const window = 15 * time.Second

// golden is the control plane's answer about services or edges.
type golden struct {
	WindowSeconds float64             `json:"window_seconds"`
	Services      []store.ServiceStat `json:"services,omitempty"`
	Edges         []store.Edge        `json:"edges,omitempty"`
}

// askGolden asks for "stat" or "edges" over the time before now.
func askGolden(ctx context.Context, c *operator.Client, what string, over time.Duration) (g golden, err error) {
	q := url.Values{"window": {over.Round(time.Second).String()}}
	err = c.Get(ctx, "/leno/v1/"+what+"?"+q.Encode(), &g)
	var no *operator.RefusedError
	var words struct {
		Error string `json:"error"`
	}
	if errors.As(err, &no) && json.Unmarshal([]byte(no.Text), &words) == nil && words.Error != "" {
		err = errors.New(words.Error) // the query API wraps its words
	}
	return g, err
}

// scope is which namespaces a listing shows.
type scope struct {
	namespace string
	all       bool
}

func (s *scope) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&s.namespace, "namespace", "n", "", "namespace to show (default all)")
	cmd.Flags().BoolVarP(&s.all, "all-namespaces", "A", false, "show all namespaces, and the column NAMESPACE")
}

// has says whether one of the namespaces is to be shown.
func (s *scope) has(namespaces ...string) bool {
	return s.all || s.namespace == "" || slices.Contains(namespaces, s.namespace)
}

// column says whether the namespace is worth a column: with -A, or when there
// is more than one of them.
func (s *scope) column(namespaces []string) bool {
	slices.Sort(namespaces)
	return s.all || len(slices.Compact(namespaces)) > 1
}

func newStatCmd(a *app) *cobra.Command {
	var (
		v    view
		in   words
		over time.Duration
	)
	cmd := &cobra.Command{
		Use:   "stat [NAME | KIND/NAME]...",
		Short: "Show success rate, request rate and latency of each service",
		Long: `Show what each service's own proxies count: success rate, requests per second,
latency to the first byte, and open connections.

MESHED is how many of the service's endpoints have a proxy. On Kubernetes a row is
a Deployment, StatefulSet, DaemonSet or Job; elsewhere it is a service.`,
		Example: `  leno stat
  leno stat web cart -n shop --watch
  leno stat deploy/web ns/shop
  leno stat -A -l tier=front
  leno stat -A -o wide --window 1m`,
		ValidArgsFunction: a.completeServices,
		RunE: func(cmd *cobra.Command, names []string) error {
			c := a.client()
			defer c.Close()
			return v.show(cmd.Context(), a.Out, func(ctx context.Context) (any, *table, error) {
				g, err := askGolden(ctx, c, "stat", over)
				if err != nil {
					return nil, nil, err
				}
				chosen, err := in.pick(ctx, c, names)
				if err != nil {
					return nil, nil, err
				}
				endpoints, err := c.Endpoints(ctx, "", "")
				if err != nil {
					return nil, nil, err
				}
				proxies, err := c.Proxies(ctx)
				if err != nil {
					return nil, nil, err
				}
				rows := addMeshed(g.Services, endpoints, proxies)
				rows = slices.DeleteFunc(rows, func(s serviceRow) bool {
					// A proxy that has just joined reports before it is named.
					return s.Name == "" || !in.has(s.Namespace) || !chosen.title(s.Namespace, s.Name)
				})
				return rows, statTable(rows, &in.scope, v.wide()), nil
			})
		},
	}
	v.flags(cmd)
	in.flags(cmd)
	cmd.Flags().DurationVarP(&over, "window", "w", window, "time over which rates are taken, at least 5s")
	return cmd
}

// serviceRow is one service with how many of its endpoints have a proxy.
type serviceRow struct {
	store.ServiceStat
	Meshed string `json:"meshed"` // "2/2"
}

// addMeshed counts the endpoints of each service. One that offers nothing has
// none, and counts by its proxies: a client, for example. Nothing is left of
// one that has ended and was silent, until its series expire.
func addMeshed(all []store.ServiceStat, endpoints []operator.Endpoint, proxies []operator.Proxy) []serviceRow {
	instances := make(map[[2]string]map[string]bool) // by namespace and service: which is meshed
	for _, e := range endpoints {
		key := [2]string{e.Namespace, e.Service}
		if instances[key] == nil {
			instances[key] = make(map[string]bool)
		}
		instances[key][e.Workload+e.Addr.Addr().String()] = e.Meshed
	}
	connected := make(map[[2]string]int) // by namespace and title
	for _, p := range proxies {
		if p.Connected {
			connected[[2]string{p.Namespace, p.Title}]++
		}
	}
	rows := make([]serviceRow, 0, len(all))
	for _, s := range all {
		key := [2]string{s.Namespace, s.Name}
		meshed, total := 0, 0
		for _, is := range instances[key] {
			total++
			if is {
				meshed++
			}
		}
		if total == 0 {
			meshed, total = connected[key], connected[key]
		}
		if total > 0 || s.RPS > 0 {
			rows = append(rows, serviceRow{s, fmt.Sprintf("%d/%d", meshed, total)})
		}
	}
	return rows
}

func statTable(all []serviceRow, in *scope, wide bool) *table {
	var namespaces []string
	for _, s := range all {
		namespaces = append(namespaces, s.Namespace)
	}
	t := &table{empty: "No service reports. Start one with: leno run --service NAME --port PORT -- COMMAND"}
	column := in.column(namespaces)
	if column {
		t.head = append(t.head, "NAMESPACE")
	}
	t.head = append(t.head, "NAME", ">MESHED", ">SUCCESS", ">RPS", ">LATENCY_P50", ">LATENCY_P95", ">LATENCY_P99", ">TCP_CONN")
	if wide {
		t.head = append(t.head, ">READ_BYTES/SEC", ">WRITE_BYTES/SEC")
	}
	for _, s := range all {
		var row []string
		if column {
			row = append(row, s.Namespace)
		}
		row = append(row, s.Name, s.Meshed, percent(s.SuccessRate), rps(s.RPS),
			millis(s.P50), millis(s.P95), millis(s.P99), whole(s.TCPConn))
		if wide {
			row = append(row, bytesPerSecond(s.ReadBps), bytesPerSecond(s.WriteBps))
		}
		t.add(row...)
	}
	return t
}
