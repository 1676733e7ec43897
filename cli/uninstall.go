package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func newUninstallCmd(a *app) *cobra.Command {
	var (
		force bool
		wait  time.Duration
	)
	cmd := &cobra.Command{
		Use:   "uninstall",
		Short: "Take everything of Leno out of a Kubernetes cluster",
		Long: `Take out everything that Leno made in the cluster: the webhook first, so that no
pod waits for it, then the control plane, its rights and secrets, the trust bundle
in every namespace, the kind AccessPolicy, and the namespace. Then look for what is
left, and print what was looked for.

Pods with a proxy and policies that people wrote stop it; --force goes on. A run
that was interrupted is finished by the same command.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			i, err := a.installer(wait)
			if err != nil {
				return err
			}
			report, err := i.Uninstall(cmd.Context(), force)
			if err != nil {
				return err
			}
			if err := report.Write(a.Out); err != nil {
				return err
			}
			if n := len(report.Left); n > 0 {
				return fmt.Errorf("%d objects are left; run leno uninstall again, or look at them with kubectl", n)
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&force, "force", false, "go on although pods still have a proxy, or policies would be lost")
	cmd.Flags().DurationVar(&wait, "wait", installWait, "how long to wait for each step; 0 does not wait")
	return cmd
}
