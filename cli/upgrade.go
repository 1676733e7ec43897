package cli

import (
	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/kube/install"
)

func newUpgradeCmd(a *app) *cobra.Command {
	var (
		f     installFlags
		reset bool
	)
	cmd := &cobra.Command{
		Use:   "upgrade",
		Short: "Bring the control plane in a Kubernetes cluster to this version",
		Long: `Bring the control plane in the cluster to this program's version, or change its
values. The values of before stay, with --values and --set laid over them; what the
new version no longer has is deleted.

Proxies keep running meanwhile, and work with a control plane up to two releases
away; a pod gets the new proxy when it is next made.`,
		Example: `  leno upgrade
  leno upgrade --set replicas=2`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			values, err := install.ReadValues(a.In, f.files, f.sets)
			if err != nil {
				return &ExitError{Code: 2, Text: err.Error()}
			}
			i, err := a.installer(f.wait)
			if err != nil {
				return err
			}
			if f.dryRun {
				if values, err = i.Values(cmd.Context(), values, reset); err != nil {
					return err
				}
				return a.printInstall(&f, values)
			}
			if err := a.checkBefore(cmd, &f); err != nil {
				return err
			}
			if err := i.Upgrade(cmd.Context(), values, reset); err != nil {
				return err
			}
			a.note("Leno is %s now. next: leno check lists the proxies of another version; each changes when its pod is next made", a.version)
			return nil
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVar(&reset, "reset-values", false, "forget the values of before")
	cmd.Flags().Lookup("dry-run").Usage = "print what would be applied"
	return cmd
}
