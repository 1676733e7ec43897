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
)

func newIdentityCmd(a *app) *cobra.Command {
	var asJSON string
	var in words
	cmd := &cobra.Command{
		Use:   "identity [WORKLOAD | KIND/NAME]...",
		Short: "Show what each certificate says, and its chain",
		Long: `Show the certificates that the control plane and the connected proxies hold now,
each with its chain up to the trust anchor. A workload is named by its instance,
its service account or its workload ID, or by a word such as deploy/web.`,
		ValidArgsFunction: a.completeWorkloads,
		RunE: func(cmd *cobra.Command, names []string) error {
			c := a.client()
			defer c.Close()
			all, err := c.Identities(cmd.Context())
			if err != nil {
				return err
			}
			plain, kinds := apart(names)
			chosen, err := in.pick(cmd.Context(), c, kinds)
			if err != nil {
				return err
			}
			all = slices.DeleteFunc(all, func(i operator.Identity) bool {
				namespace := namespaceOf(i.Identity)
				named := chosen.all() && len(plain) == 0 || isNamed(i, plain) || !chosen.all() && chosen.workload(namespace, i.Workload)
				return !named || !in.has(namespace)
			})
			if len(all) == 0 && len(names) > 0 {
				return explainMissing(cmd.Context(), c, names)
			}
			switch asJSON {
			case "json":
				return printJSON(a.Out, all)
			case "text":
				return writeIdentities(a.Out, all)
			}
			return &ExitError{Code: 2, Text: fmt.Sprintf("-o %q is not known; want text or json", asJSON)}
		},
	}
	in.flags(cmd)
	cmd.Flags().StringVarP(&asJSON, "output", "o", "text", "text or json")
	return cmd
}

// apart divides names of holders from words with a kind.
func apart(names []string) (plain, kinds []string) {
	for _, n := range names {
		if strings.Contains(n, "/") {
			kinds = append(kinds, n)
		} else {
			plain = append(plain, n)
		}
	}
	return plain, kinds
}

// namespaceOf gives that of an identity, "" for the server's.
func namespaceOf(id string) string {
	if p := strings.Split(id, "/"); len(p) == 7 && p[3] == "ns" {
		return p[4]
	}
	return ""
}

func isNamed(i operator.Identity, names []string) bool {
	account := i.Identity[strings.LastIndexByte(i.Identity, '/')+1:]
	return slices.Contains(names, i.Holder) || slices.Contains(names, i.Workload) || slices.Contains(names, account)
}

// explainMissing says why there is nothing to show: a workload that is away,
// or one that nobody knows.
func explainMissing(ctx context.Context, c *operator.Client, names []string) error {
	all, err := c.Proxies(ctx)
	if err != nil {
		return err
	}
	for _, p := range all {
		if slices.Contains(names, p.Name) || slices.Contains(names, p.Workload) {
			return fmt.Errorf("%s is not connected, so its certificate is not known here; is it running? see leno proxies", p.Name)
		}
	}
	return fmt.Errorf("no workload %s; leno proxies lists them", strings.Join(names, ", "))
}

func writeIdentities(out io.Writer, all []operator.Identity) error {
	var b strings.Builder
	for n, i := range all {
		if n > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "%s\n", i.Holder)
		if i.Workload != "" {
			fmt.Fprintf(&b, "  workload    %s\n", i.Workload)
		}
		for depth, c := range i.Chain {
			writeCertificate(&b, c, depth)
		}
	}
	_, err := io.WriteString(out, printableText(b.String()))
	return err
}

func writeCertificate(b *strings.Builder, c operator.Certificate, depth int) {
	kind := "certificate"
	switch {
	case c.CA && c.Subject == c.Issuer:
		kind = "anchor"
	case c.CA:
		kind = "issuer"
	}
	indent := strings.Repeat("  ", depth)
	name := c.Subject
	if len(c.URIs) > 0 && !c.CA {
		name = strings.Join(c.URIs, ", ")
	}
	fmt.Fprintf(b, "  %s%-11s %s\n", indent, kind, name)
	fmt.Fprintf(b, "  %s  valid     %s to %s (%s)\n", indent,
		c.Begins.UTC().Format(time.DateTime), c.Ends.UTC().Format(time.DateTime), left(c.Ends))
	fmt.Fprintf(b, "  %s  serial    %s\n", indent, c.Serial)
	if len(c.KeyUsage) > 0 {
		fmt.Fprintf(b, "  %s  usage     %s\n", indent, strings.Join(c.KeyUsage, ", "))
	}
}

func left(t time.Time) string {
	if d := time.Until(t); d > 0 {
		return duration(d) + " left"
	}
	return "ended"
}
