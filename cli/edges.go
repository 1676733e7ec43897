package cli

import (
	"context"
	"net/url"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
)

// edge is one row of the store's answer.
type edge struct {
	Src         string   `json:"src"`
	SrcNS       string   `json:"src_ns"`
	Dst         string   `json:"dst"`
	DstNS       string   `json:"dst_ns"`
	ClientID    string   `json:"client_id"`
	ServerID    string   `json:"server_id"`
	Secured     bool     `json:"secured"`
	SuccessRate *float64 `json:"success_rate"`
	RPS         float64  `json:"rps"`
	TCPConn     float64  `json:"tcp_conn"`
}

func newEdgesCmd(a *app) *cobra.Command {
	var v view
	var in where
	var window time.Duration
	cmd := &cobra.Command{
		Use: "edges", Short: "Show who calls whom, with which identities", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := a.client()
			defer c.Close()
			return v.show(cmd.Context(), a.Out, func(ctx context.Context) (any, *table, error) {
				rows, err := edges(ctx, c, window)
				if err != nil {
					return nil, nil, err
				}
				rows = slices.DeleteFunc(rows, func(e edge) bool { return !in.takes(e.SrcNS) && !in.takes(e.DstNS) })
				return rows, edgeTable(rows, v.wide()), nil
			})
		},
	}
	v.flags(cmd)
	in.flags(cmd)
	cmd.Flags().DurationVar(&window, "window", 30*time.Second, "time in which a call must have been made")
	return cmd
}

func edges(ctx context.Context, c *operator.Client, window time.Duration) ([]edge, error) {
	var page struct {
		Edges []edge `json:"edges"`
	}
	q := url.Values{"window": {window.String()}}
	err := c.Get(ctx, "/leno/v1/edges?"+q.Encode(), &page)
	return page.Edges, err
}

func edgeTable(rows []edge, wide bool) *table {
	head := []string{"SRC", "DST", "SRC_NS", "DST_NS", "CLIENT_ID", "SERVER_ID", "SECURED"}
	if wide {
		head = append(head, ">SUCCESS", ">RPS", ">TCP_CONN")
	}
	t := &table{head: head, empty: "No calls in this time. --window looks further back."}
	for _, e := range rows {
		secured := "×"
		if e.Secured {
			secured = "√"
		}
		row := []string{e.Src, e.Dst, e.SrcNS, e.DstNS, shortID(e.ClientID), shortID(e.ServerID), secured}
		if wide {
			row = append(row, percent(e.SuccessRate), rps(e.RPS), number(e.TCPConn))
		}
		t.add(row...)
	}
	return t
}
