package cli

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
)

// serviceStat is one row of the store's answer.
type serviceStat struct {
	Namespace   string   `json:"namespace"`
	Name        string   `json:"name"`
	Instances   int      `json:"instances"`
	Meshed      string   `json:"meshed,omitempty"` // "2/2", added here
	SuccessRate *float64 `json:"success_rate"`
	RPS         float64  `json:"rps"`
	P50         *float64 `json:"p50_ms"`
	P95         *float64 `json:"p95_ms"`
	P99         *float64 `json:"p99_ms"`
	TCPConn     float64  `json:"tcp_conn"`
	ReadBps     float64  `json:"read_bytes_per_second"`
	WriteBps    float64  `json:"write_bytes_per_second"`
}

// where are the options that choose namespaces.
type where struct {
	namespace string
	all       bool
}

func (w *where) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&w.namespace, "namespace", "n", "", "only this namespace (default all that there are)")
	cmd.Flags().BoolVarP(&w.all, "all-namespaces", "A", false, "show the namespace of each row")
}

func (w *where) takes(namespace string) bool {
	return w.namespace == "" || w.namespace == namespace
}

func newStatCmd(a *app) *cobra.Command {
	var v view
	var in where
	var window time.Duration
	cmd := &cobra.Command{
		Use:   "stat [NAME...]",
		Short: "Show success rate, request rate and latency of services",
		Example: `  leno stat
  leno stat web cart --window 1m
  leno stat --watch`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c := a.client()
			defer c.Close()
			return v.show(cmd.Context(), a.Out, func(ctx context.Context) (any, *table, error) {
				rows, err := stats(ctx, c, window)
				if err != nil {
					return nil, nil, err
				}
				rows = slices.DeleteFunc(rows, func(s serviceStat) bool {
					return !in.takes(s.Namespace) || !named(args, s.Name, s.Namespace)
				})
				if len(rows) == 0 && len(args) > 0 {
					return nil, nil, fmt.Errorf("no service %s reports; `leno endpoints` lists what is registered", strings.Join(args, ", "))
				}
				return rows, statTable(rows, in.all, v.wide()), nil
			})
		},
		ValidArgsFunction: a.completeServices,
	}
	v.flags(cmd)
	in.flags(cmd)
	cmd.Flags().DurationVar(&window, "window", 15*time.Second, "time over which rates are taken, 5s at least")
	return cmd
}

// stats asks for the golden metrics and adds how many instances are meshed.
func stats(ctx context.Context, c *operator.Client, window time.Duration) ([]serviceStat, error) {
	var page struct {
		Services []serviceStat `json:"services"`
	}
	q := url.Values{"window": {window.String()}}
	if err := c.Get(ctx, "/leno/v1/stat?"+q.Encode(), &page); err != nil {
		return nil, err
	}
	es, err := c.Endpoints(ctx, "", "")
	if err != nil {
		return nil, err
	}
	meshed, total := map[string]map[string]bool{}, map[string]map[string]bool{}
	for _, e := range es {
		key, addr := e.Service+"."+e.Namespace, e.Addr.Addr().String()+"/"+e.Workload
		if total[key] == nil {
			meshed[key], total[key] = map[string]bool{}, map[string]bool{}
		}
		total[key][addr] = true
		if e.Meshed {
			meshed[key][addr] = true
		}
	}
	for i := range page.Services {
		s := &page.Services[i]
		key := s.Name + "." + s.Namespace
		s.Meshed = strconv.Itoa(len(meshed[key])) + "/" + strconv.Itoa(len(total[key]))
		if len(total[key]) == 0 { // a client alone: it offers nothing
			s.Meshed = fmt.Sprintf("%d/%d", s.Instances, s.Instances)
		}
	}
	return page.Services, nil
}

func statTable(rows []serviceStat, namespaces, wide bool) *table {
	head := []string{"NAME", "MESHED", ">SUCCESS", ">RPS", ">LATENCY_P50", ">LATENCY_P95", ">LATENCY_P99", ">TCP_CONN"}
	if wide {
		head = append(head, ">READ_BYTES/SEC", ">WRITE_BYTES/SEC")
	}
	if namespaces {
		head = append([]string{"NAMESPACE"}, head...)
	}
	t := &table{head: head, empty: "No service reports yet. `leno proxies` lists what has joined."}
	for _, s := range rows {
		row := []string{s.Name, s.Meshed, percent(s.SuccessRate), rps(s.RPS), millis(s.P50), millis(s.P95), millis(s.P99), fmt.Sprintf("%.0f", s.TCPConn)}
		if wide {
			row = append(row, bytesPerSecond(s.ReadBps), bytesPerSecond(s.WriteBps))
		}
		if namespaces {
			row = append([]string{s.Namespace}, row...)
		}
		t.add(row...)
	}
	return t
}

// named says whether a row is among the names asked for: "name" or
// "name.namespace"; no names means all.
func named(names []string, name, namespace string) bool {
	return len(names) == 0 || slices.Contains(names, name) || slices.Contains(names, name+"."+namespace)
}

// completeServices offers the names of services to the shell.
func (a *app) completeServices(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	c := a.client()
	defer c.Close()
	es, err := c.Endpoints(cmd.Context(), "", "")
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var names []string
	for _, e := range es {
		if !slices.Contains(names, e.Service) {
			names = append(names, e.Service)
		}
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
