package cli

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
)

func newProxiesCmd(a *app) *cobra.Command {
	var (
		v  view
		in words
	)
	cmd := &cobra.Command{
		Use:   "proxies [NAME | KIND/NAME]...",
		Short: "Show each proxy with its snapshot, certificate and memory",
		Long: `Show each workload that joined. SNAPSHOT is the version that its proxy runs on;
AGE is how long ago proxy and control plane last agreed on all of it. CERT_ENDS is
how long its certificate is still good; it is renewed at 70 % of its life. ANCHORS,
with -o wide, says whether it has the trust anchors of now.`,
		RunE: func(cmd *cobra.Command, names []string) error {
			c := a.client()
			defer c.Close()
			return v.show(cmd.Context(), a.Out, func(ctx context.Context) (any, *table, error) {
				chosen, err := in.pick(ctx, c, names)
				if err != nil {
					return nil, nil, err
				}
				all, err := c.Proxies(ctx)
				all = slices.DeleteFunc(all, func(p operator.Proxy) bool { return !in.has(p.Namespace) || !chosen.workload(p.Namespace, p.Workload) })
				slices.SortFunc(all, func(a, b operator.Proxy) int {
					return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
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
	t := &table{
		head:  []string{"NAME", "NAMESPACE", "STATE", "SNAPSHOT", ">AGE", ">CERT_ENDS", ">MEMORY"},
		empty: "No proxy has joined. Make a join file with: leno token create",
	}
	if wide {
		t.head = append(t.head, ">CPU", ">DESTINATIONS", "ANCHORS", "ADDRESS", "VERSION", "SERVICES", "WORKLOAD")
	}
	for _, p := range all {
		row := []string{p.Name, p.Namespace, proxyState(p), p.Snapshot, age(p.Confirmed), until(p.CertificateEnd), memory(p.RSSBytes)}
		if wide {
			row = append(row, strconv.FormatFloat(p.CPUSeconds, 'f', 2, 64)+"s", strconv.Itoa(p.Destinations), maybe(p.Anchors),
				p.Addr, p.ProxyVersion, strings.Join(p.Services, ","), p.Workload)
		}
		t.add(row...)
	}
	return t
}

// maybe is a tick, or a dash for what nobody said.
func maybe(ok *bool) string {
	if ok == nil {
		return "-"
	}
	return tick(*ok)
}

// proxyState is what matters most about a proxy, in one word.
func proxyState(p operator.Proxy) string {
	switch {
	case len(p.Refused) > 0:
		return "refusing"
	case p.Connected || p.State != "ready":
		return p.State
	default:
		return "disconnected"
	}
}

func memory(bytes uint64) string {
	if bytes == 0 {
		return "-"
	}
	return size(float64(bytes))
}

// until says how long something still lasts.
func until(t time.Time) string {
	switch left := time.Until(t); {
	case t.IsZero():
		return "-"
	case left <= 0:
		return "ended"
	default:
		return "in " + duration(left)
	}
}

func whole(v float64) string { return strconv.Itoa(int(v)) }
