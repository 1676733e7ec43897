package cli

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
)

func newEndpointsCmd(a *app) *cobra.Command {
	var (
		v          view
		namespace  string
		everywhere bool
		labels     string
	)
	cmd := &cobra.Command{
		Use:   "endpoints [NAME | KIND/NAME]",
		Short: "Show where a service is reached, as proxies are told",
		Long: `Show the endpoints of a service (name, name.namespace, or one of the longer forms),
or of all services. It is the same answer that proxies get. A word such as
deploy/web shows the endpoints that are its pods.`,
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
				if everywhere {
					namespace = ""
				}
				all, err := endpoints(ctx, c, &words{scope{namespace, everywhere}, labels}, name)
				return all, endpointTable(all, v.wide()), err
			})
		},
	}
	v.flags(cmd)
	cmd.Flags().StringVarP(&namespace, "namespace", "n", "", "namespace of the service (default the one that has a service of this name)")
	cmd.Flags().BoolVarP(&everywhere, "all-namespaces", "A", false, "show all namespaces")
	cmd.Flags().StringVarP(&labels, "selector", "l", "", "labels of the workloads to show, such as app=web,tier!=cache")
	return cmd
}

// endpoints lists those of a service, or those that are what a word means.
func endpoints(ctx context.Context, c *operator.Client, in *words, name string) ([]operator.Endpoint, error) {
	if svc, err := parseWord(name); err == nil && svc.kind == "service" {
		name = svc.name
	}
	if !strings.Contains(name, "/") && in.labels == "" {
		name, err := inItsNamespace(ctx, c, name, in.namespace)
		if err != nil {
			return nil, err
		}
		return c.Endpoints(ctx, name, in.namespace)
	}
	var said []string
	if name != "" {
		said = []string{name}
	}
	chosen, err := in.pick(ctx, c, said)
	if err != nil {
		return nil, err
	}
	all, err := c.Endpoints(ctx, "", in.namespace)
	return slices.DeleteFunc(all, func(e operator.Endpoint) bool { return !chosen.workload(e.Namespace, e.Workload) }), err
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
