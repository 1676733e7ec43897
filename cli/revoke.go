package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
)

func newRevokeCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "revoke WORKLOAD",
		Short: "Put a workload out of the mesh for good",
		Long: `Put a workload out of the mesh for good: its endpoints go, its stream ends, and it
gets no more certificates. WORKLOAD is the ID that leno proxies -o wide shows, or
the name of an instance when only one has it. Links that are open stay until the
workload's certificate ends; leno proxies shows when.`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := a.client()
			defer c.Close()
			all, err := c.Proxies(cmd.Context())
			if err != nil {
				return err
			}
			id, err := workloadOf(all, args[0])
			if err != nil {
				return err
			}
			if err := c.RevokeWorkload(cmd.Context(), id); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Err, "revoked workload %s\n", id)
			return err
		},
	}
}

// workloadOf finds a workload by its name. What is no name may be the ID of
// one that is away; the control plane judges that.
func workloadOf(all []operator.Proxy, name string) (string, error) {
	found := ""
	for _, p := range all {
		if p.Name != name {
			continue
		}
		if found != "" {
			return "", fmt.Errorf("several workloads are called %s; give the ID of one, see: leno proxies -o wide", name)
		}
		found = p.Workload
	}
	if found == "" {
		return name, nil
	}
	return found, nil
}
