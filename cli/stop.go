package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
)

// stopTime is how long a control plane may take to stop.
const stopTime = 20 * time.Second

func newStopCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "stop",
		Short: "Stop the control plane of this user",
		Long: `Stop the control plane that leno run started, or the one of --socket. What runs in
the mesh goes on with what it knows; the next leno run starts a control plane with
the same data again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := a.localClient()
			defer c.Close()
			st, err := c.Status(cmd.Context())
			if isSilent(err) {
				_, err = fmt.Fprintf(a.Err, "No control plane runs at %s.\n", a.socketPath())
				return err
			}
			if err != nil {
				return err
			}
			if err := c.Shutdown(cmd.Context()); err != nil && !isSilent(err) {
				return err
			}
			if err := waitSilent(cmd.Context(), c); err != nil {
				return fmt.Errorf("the control plane (process %d) still answers: %w; look at its log, then kill it", st.PID, err)
			}
			if st.Proxies > 0 {
				fmt.Fprintf(a.Err, "Proxies that go on with what they know, and come back to the next control plane: %d.\n", st.Proxies)
			}
			_, err = fmt.Fprintf(a.Err, "Stopped the control plane (process %d).\n", st.PID)
			return err
		},
	}
}

func isSilent(err error) bool {
	var silent *operator.UnreachableError
	return errors.As(err, &silent)
}

// waitSilent asks until nobody answers any more.
func waitSilent(ctx context.Context, c *operator.Client) error {
	ctx, cancel := context.WithTimeout(ctx, stopTime)
	defer cancel()
	for {
		if _, err := c.Status(ctx); isSilent(err) && ctx.Err() == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
}
