package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/store"
)

func newEdgesCmd(a *app) *cobra.Command {
	var (
		v        view
		in       words
		over     time.Duration
		from, to []string
	)
	cmd := &cobra.Command{
		Use:   "edges [NAME | KIND/NAME]...",
		Short: "Show who calls whom, as whom, and whether it is secured",
		Long: `Show who calls whom, as the callers' proxies count it. CLIENT_ID and SERVER_ID are
the identities that both ends proved to each other; SECURED says whether calls go
over mutual TLS. A name shows the edges that begin or end there, --from those that
begin, and --to those that end there.`,
		Example: `  leno edges -n shop
  leno edges deploy/web
  leno edges --from ns/shop --to svc/payments`,
		ValidArgsFunction: a.completeServices,
		RunE: func(cmd *cobra.Command, names []string) error {
			c := a.client()
			defer c.Close()
			return v.show(cmd.Context(), a.Out, func(ctx context.Context) (any, *table, error) {
				g, err := askGolden(ctx, c, "edges", over)
				if err != nil {
					return nil, nil, err
				}
				either, err := in.pick(ctx, c, names)
				if err != nil {
					return nil, nil, err
				}
				begins, err := (&words{}).pick(ctx, c, from)
				if err != nil {
					return nil, nil, err
				}
				ends, err := (&words{}).pick(ctx, c, to)
				if err != nil {
					return nil, nil, err
				}
				g.Edges = slices.DeleteFunc(g.Edges, func(e store.Edge) bool {
					return !in.has(e.SrcNS, e.DstNS) || !either.begins(e) && !either.ends(e) || !begins.begins(e) || !ends.ends(e)
				})
				return g.Edges, edgeTable(g.Edges, v.wide()), nil
			})
		},
	}
	v.flags(cmd)
	in.flags(cmd)
	cmd.Flags().StringArrayVar(&from, "from", nil, "show the edges that begin at NAME or KIND/NAME")
	cmd.Flags().StringArrayVar(&to, "to", nil, "show the edges that end at NAME or KIND/NAME")
	cmd.Flags().DurationVarP(&over, "window", "w", window, "time over which rates are taken, at least 5s")
	return cmd
}

func (p *picked) begins(e store.Edge) bool { return p.title(e.SrcNS, e.Src) }
func (p *picked) ends(e store.Edge) bool   { return p.service(e.DstNS, e.Dst) }

func edgeTable(all []store.Edge, wide bool) *table {
	t := &table{
		head:  []string{"SRC", "DST", "SRC_NS", "DST_NS", "CLIENT_ID", "SERVER_ID", "SECURED"},
		empty: "No calls in this time. See all services with: leno stat",
	}
	if wide {
		t.head = append(t.head, ">SUCCESS", ">RPS", ">TCP_CONN")
	}
	for _, e := range all {
		row := []string{e.Src, e.Dst, e.SrcNS, e.DstNS, shortID(e.ClientID), shortID(e.ServerID), tick(e.Secured)}
		if wide {
			row[4], row[5] = e.ClientID, e.ServerID
			row = append(row, percent(e.SuccessRate), rps(e.RPS), whole(e.TCPConn))
		}
		t.add(row...)
	}
	return t
}

func tick(ok bool) string {
	if ok {
		return "√"
	}
	return "×"
}

// shortID is an identity as a table shows it: "web.shop" for
// spiffe://<trust-domain>/ns/shop/sa/web. Anything else is left as it is.
func shortID(id string) string {
	p := strings.Split(id, "/")
	if len(p) != 7 || p[0] != "spiffe:" || p[3] != "ns" || p[5] != "sa" {
		return id
	}
	return p[6] + "." + p[4]
}
