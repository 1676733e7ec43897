package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func newVersionCmd(a *app) *cobra.Command {
	var short bool
	cmd := &cobra.Command{
		Use: "version", Short: "Print the versions of this program and of the control plane", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if short {
				_, err := fmt.Fprintln(a.Out, a.version)
				return err
			}
			fmt.Fprintf(a.Out, "leno           %s\n", a.version)
			c := a.client()
			defer c.Close()
			st, err := c.Status(cmd.Context())
			if err != nil {
				fmt.Fprintf(a.Out, "control plane  none answers at %s\n", a.socketPath())
				return nil //nolint:nilerr // having no control plane is an answer
			}
			_, err = fmt.Fprintf(a.Out, "control plane  %s\n", st.Version)
			return err
		},
	}
	cmd.Flags().BoolVar(&short, "client", false, "this program's version alone")
	return cmd
}
