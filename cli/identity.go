package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
	"github.com/leno-mesh/leno/mesh"
)

func newIdentityCmd(a *app) *cobra.Command {
	var v view
	cmd := &cobra.Command{
		Use:   "identity [NAME...]",
		Short: "Show what each certificate in use says, and its chain",
		RunE: func(cmd *cobra.Command, args []string) error {
			c := a.client()
			defer c.Close()
			all, err := c.Identities(cmd.Context())
			if err != nil {
				return err
			}
			all = slices.DeleteFunc(all, func(i operator.Identity) bool {
				return len(args) > 0 && !slices.Contains(args, i.Holder) && !slices.Contains(args, i.Workload)
			})
			if len(all) == 0 && len(args) > 0 {
				return fmt.Errorf("no connected proxy is called %s; `leno proxies` lists them", strings.Join(args, ", "))
			}
			if len(args) > 0 && v.format == "table" {
				return printIdentities(a.Out, all)
			}
			return v.show(cmd.Context(), a.Out, func(context.Context) (any, *table, error) {
				return all, identityTable(all), nil
			})
		},
	}
	v.flags(cmd)
	return cmd
}

func identityTable(all []operator.Identity) *table {
	t := &table{head: []string{"NAME", "IDENTITY", "BEGAN", "ENDS", "CHAIN"}}
	for _, i := range all {
		if len(i.Chain) == 0 {
			continue
		}
		var chain []string
		for _, c := range i.Chain[1:] {
			chain = append(chain, c.Subject)
		}
		leaf := i.Chain[0]
		t.add(i.Holder, i.Identity, leaf.Begins.Local().Format(time.DateTime), leaf.Ends.Local().Format(time.DateTime), strings.Join(chain, " <- "))
	}
	return t
}

// printIdentities says all that the certificates of a few holders say.
func printIdentities(out io.Writer, all []operator.Identity) error {
	var b strings.Builder
	for n, i := range all {
		if n > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s\n  identity  %s\n  workload  %s\n", i.Holder, i.Identity, i.Workload)
		for level, c := range i.Chain {
			what := "leaf"
			switch {
			case c.CA && c.Subject == c.Issuer:
				what = "anchor"
			case c.CA:
				what = "issuer"
			}
			fmt.Fprintf(&b, "  %d %s\n", level, what)
			for _, line := range [][2]string{
				{"subject", c.Subject}, {"issuer", c.Issuer}, {"uri", strings.Join(c.URIs, ", ")},
				{"usage", strings.Join(c.KeyUsage, ", ")}, {"serial", c.Serial},
				{"begins", c.Begins.Local().Format(time.DateTime)},
				{"ends", c.Ends.Local().Format(time.DateTime) + " (in " + duration(time.Until(c.Ends)) + ")"},
			} {
				if line[1] != "" {
					fmt.Fprintf(&b, "    %-8s %s\n", line[0], line[1])
				}
			}
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}

// shortID gives "account.namespace" of an identity, for tables.
func shortID(id string) string {
	p := mesh.Identity(id).Parts()
	if p.ServiceAccount == "" {
		return id
	}
	return p.ServiceAccount + "." + p.Namespace
}

func number(v float64) string { return fmt.Sprintf("%.0f", v) }
