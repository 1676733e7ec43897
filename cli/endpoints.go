package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
)

func newEndpointsCmd(a *app) *cobra.Command {
	var (
		v         view
		namespace string
	)
	cmd := &cobra.Command{
		Use:   "endpoints [NAME]",
		Short: "Show where a service is reached, as proxies are told",
		Long: `Show the endpoints of a service (name, name.namespace, or one of the longer forms),
or of all services. It is the same answer that proxies get.`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: a.completeServices,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 0 {
				name = args[0]
			}
			c := a.client()
			defer c.Close()
			return v.show(cmd.Context(), a.Out, func(ctx context.Context) (any, *table, error) {
				name, err := inItsNamespace(ctx, c, name, namespace)
				if err != nil {
					return nil, nil, err
				}
				all, err := c.Endpoints(ctx, name, namespace)
				return all, endpointTable(all, v.wide()), err
			})
		},
	}
	v.flags(cmd)
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace of the service (default the one that has a service of this name)")
	return cmd
}

func endpointTable(all []operator.Endpoint, wide bool) *table {
	t := &table{
		head:  []string{"NAMESPACE", "IP", ">PORT", "POD", "SERVICE"},
		empty: "No endpoints. See what is registered with: leno proxies",
	}
	if wide {
		t.head = append(t.head, "STATE", "MESHED", "ZONE", "IDENTITY")
	}
	for _, e := range all {
		row := []string{
			e.Namespace, e.Addr.Addr().String(), strconv.Itoa(int(e.Addr.Port())), e.Instance,
			e.Service + ":" + strconv.Itoa(int(e.Port)),
		}
		if wide {
			row = append(row, e.State, tick(e.Meshed), e.Zone, e.Identity)
		}
		t.add(row...)
	}
	return t
}
