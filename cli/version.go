package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
)

// versions are those of this program and of the control plane.
type versions struct {
	Client string `json:"client"`
	Go     string `json:"go"`
	// Server is empty when no control plane answers.
	Server string `json:"server,omitempty"`
}

func newVersionCmd(a *app) *cobra.Command {
	var short bool
	v := view{format: "table"}
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the versions of this program and of the control plane",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all := versions{Client: a.version, Go: runtime.Version()}
			if short {
				_, err := fmt.Fprintln(a.Out, all.Client)
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), 2*time.Second)
			defer cancel()
			c := a.client()
			defer c.Close()
			st, err := c.Status(ctx)
			var silent *operator.UnreachableError
			if err != nil && !errors.As(err, &silent) {
				return err
			}
			all.Server = st.Version
			if v.format == "json" {
				return printJSON(a.Out, all)
			}
			server := all.Server
			if server == "" {
				server = "none answers"
			}
			_, err = fmt.Fprintf(a.Out, "leno           %s (%s)\ncontrol plane  %s\n", all.Client, all.Go, server)
			return err
		},
	}
	cmd.Flags().BoolVar(&short, "short", false, "print this program's version alone")
	cmd.Flags().StringVarP(&v.format, "output", "o", "table", "table or json")
	return cmd
}
