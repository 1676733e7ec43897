package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
)

func newTokenCmd(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "token", Short: "Make, list and revoke join tokens", Args: cobra.NoArgs}
	cmd.AddCommand(newTokenCreateCmd(a), newTokenListCmd(a), newTokenRevokeCmd(a))
	return cmd
}

func newTokenCreateCmd(a *app) *cobra.Command {
	var q operator.TokenRequest
	var ttl time.Duration
	var file string
	cmd := &cobra.Command{
		Use:   "create --namespace NS --service-account NAME [--service NAME:PORT]...",
		Short: "Make a join file for one workload",
		Long: `Make a join file: the control plane's address, the hash of its trust anchor, and a
token that is good for one workload, once, until it expires. The workload can
offer only the services and ports that the token names.`,
		Example: `  leno token create --namespace shop --service-account payments --service payments:8080 -o payments.join`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := a.client()
			defer c.Close()
			q.TTLSeconds = int64(max(ttl.Seconds(), 1))
			answer, err := c.CreateToken(cmd.Context(), q)
			if err != nil {
				return err
			}
			if file != "" {
				if err := answer.JoinFile.Write(file); err != nil {
					return err
				}
				fmt.Fprintf(a.Err, "wrote %s: token %s, good once until %s\n", file, answer.ID, answer.JoinFile.Expires.Local().Format(time.DateTime))
				return nil
			}
			if isTerminal(a.Out) {
				fmt.Fprintln(a.Err, "This is a secret until it was used. Use -o FILE to keep it off the screen.")
			}
			b, err := json.MarshalIndent(answer.JoinFile, "", "  ")
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.Out, "%s\n", b)
			return err
		},
	}
	f := cmd.Flags()
	f.StringVarP(&q.Namespace, "namespace", "n", "default", "namespace of the workload's identity")
	f.StringVar(&q.ServiceAccount, "service-account", "", "service account of the workload's identity")
	f.StringSliceVar(&q.Services, "service", nil, "NAME:PORT that the workload may offer; may be given again")
	f.StringSliceVar(&q.Servers, "server", nil, "HOST:PORT of the control plane for the join file (default what it knows itself by)")
	f.DurationVar(&ttl, "ttl", time.Hour, "how long the token is good")
	f.StringVarP(&file, "output", "o", "", "file to write (0600), instead of standard output")
	_ = cmd.MarkFlagRequired("service-account")
	return cmd
}

func newTokenListCmd(a *app) *cobra.Command {
	var v view
	cmd := &cobra.Command{
		Use: "list", Short: "List join tokens", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := a.client()
			defer c.Close()
			return v.show(cmd.Context(), a.Out, func(ctx context.Context) (any, *table, error) {
				all, err := c.Tokens(ctx)
				t := &table{head: []string{"ID", "NAMESPACE", "ACCOUNT", "SERVICES", "STATUS", ">EXPIRES", "WORKLOAD"}, empty: "No tokens. Make one with: leno token create"}
				for _, k := range all {
					t.add(k.ID, k.Namespace, k.ServiceAccount, strings.Join(k.Services, ","), k.Status, until(k.Expires), k.Workload)
				}
				return all, t, err
			})
		},
	}
	v.flags(cmd)
	return cmd
}

func newTokenRevokeCmd(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "Make a join token useless", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c := a.client()
			defer c.Close()
			return c.RevokeToken(cmd.Context(), args[0])
		},
	}
}
