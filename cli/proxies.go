package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
)

func newProxiesCmd(a *app) *cobra.Command {
	var v view
	var in where
	cmd := &cobra.Command{
		Use: "proxies", Short: "List the proxies, the snapshot each runs on, its certificate and its memory", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := a.client()
			defer c.Close()
			return v.show(cmd.Context(), a.Out, func(ctx context.Context) (any, *table, error) {
				all, err := c.Proxies(ctx)
				all = slices.DeleteFunc(all, func(p operator.Proxy) bool { return !in.takes(p.Namespace) })
				slices.SortFunc(all, func(x, y operator.Proxy) int {
					return strings.Compare(x.Namespace+"/"+x.Name, y.Namespace+"/"+y.Name)
				})
				return all, proxyTable(all, v.wide()), err
			})
		},
	}
	v.flags(cmd)
	in.flags(cmd)
	return cmd
}

func proxyTable(all []operator.Proxy, wide bool) *table {
	head := []string{"NAME", "NAMESPACE", "STATE", "SNAPSHOT", ">CONFIRMED", ">CERT_ENDS", ">MEMORY"}
	if wide {
		head = append(head, "ADDRESS", "SERVICES", ">CPU", "VERSION", "WORKLOAD")
	}
	t := &table{head: head, empty: "No proxy has joined. Make a join file with: leno token create"}
	for _, p := range all {
		state := p.State
		if !p.Connected {
			state += ", away"
		}
		snapshot, confirmed, memory := p.Snapshot, age(p.Confirmed), "-"
		if p.Confirmed.IsZero() && p.Connected {
			confirmed = age(p.ConnectedSince)
		}
		if p.RSSBytes > 0 {
			memory = size(float64(p.RSSBytes))
		}
		ends := "-"
		if !p.CertificateEnd.IsZero() {
			ends = "in " + duration(time.Until(p.CertificateEnd))
		}
		row := []string{p.Name, p.Namespace, state, snapshot, confirmed, ends, memory}
		if wide {
			row = append(row, p.Addr, strings.Join(p.Services, ","), fmt.Sprintf("%.1fs", p.CPUSeconds), p.ProxyVersion, p.Workload)
		}
		t.add(row...)
	}
	return t
}
