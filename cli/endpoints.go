package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"
)

func newEndpointsCmd(a *app) *cobra.Command {
	var v view
	var namespace string
	cmd := &cobra.Command{
		Use:   "endpoints [NAME]",
		Short: "Show what a service's name leads to, as the proxies are told",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := a.client()
			defer c.Close()
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			return v.show(cmd.Context(), a.Out, func(ctx context.Context) (any, *table, error) {
				all, err := c.Endpoints(ctx, name, namespace)
				head := []string{"NAMESPACE", "IP", ">PORT", "POD", "SERVICE"}
				if v.wide() {
					head = append(head, "STATE", "MESHED", "ZONE", "IDENTITY")
				}
				t := &table{head: head, empty: "No endpoints. `leno proxies` lists what has joined."}
				for _, e := range all {
					row := []string{
						e.Namespace, e.Addr.Addr().String(), strconv.Itoa(int(e.Addr.Port())), e.Instance,
						e.Service + "." + e.Namespace + ":" + strconv.Itoa(int(e.Port)),
					}
					if v.wide() {
						row = append(row, e.State, strconv.FormatBool(e.Meshed), e.Zone, e.Identity)
					}
					t.add(row...)
				}
				return all, t, err
			})
		},
		ValidArgsFunction: a.completeServices,
	}
	v.flags(cmd)
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace of a bare NAME, or the only one to list")
	return cmd
}
