package cli

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
)

// checkReport is the JSON form, which people who come from Linkerd know.
type checkReport struct {
	Success    bool            `json:"success"`
	Categories []checkCategory `json:"categories"`
}

type checkCategory struct {
	Name   string      `json:"categoryName"`
	Checks []checkLine `json:"checks"`
}

type checkLine struct {
	Description string `json:"description"`
	Hint        string `json:"hint,omitempty"`
	Error       string `json:"error,omitempty"`
	Result      string `json:"result"`
}

func newCheckCmd(a *app) *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the control plane, its certificates and its proxies",
		Long: `Check the control plane, its certificates and its proxies. Every line that is not
right says what to do. The exit code is 0 when all is well, 1 with errors and 3
with warnings alone.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c := a.client()
			defer c.Close()
			all, err := c.Checks(cmd.Context())
			if err != nil {
				all = []operator.Check{{
					Category: "control plane", Description: "control plane answers", Result: operator.SeverityError,
					Error: err.Error(), Hint: "start it with `leno server --data-dir DIR`, or name its socket with --socket",
				}}
			}
			report := group(all)
			if format == "json" {
				if err := printJSON(a.Out, report); err != nil {
					return err
				}
			} else if err := printChecks(a.Out, report); err != nil {
				return err
			}
			return verdict(all)
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	return cmd
}

func group(all []operator.Check) checkReport {
	r := checkReport{Success: true}
	for _, c := range all {
		if n := len(r.Categories); n == 0 || r.Categories[n-1].Name != c.Category {
			r.Categories = append(r.Categories, checkCategory{Name: c.Category})
		}
		last := &r.Categories[len(r.Categories)-1]
		last.Checks = append(last.Checks, checkLine{c.Description, c.Hint, c.Error, c.Result})
		r.Success = r.Success && c.Result != operator.SeverityError
	}
	return r
}

func printChecks(out io.Writer, r checkReport) error {
	var b strings.Builder
	for _, c := range r.Categories {
		fmt.Fprintf(&b, "%s\n%s\n", c.Name, strings.Repeat("-", utf8.RuneCountInString(c.Name)))
		for _, l := range c.Checks {
			mark := map[string]string{operator.SeverityOK: "√", operator.SeverityWarning: "‼", operator.SeverityError: "×"}[l.Result]
			fmt.Fprintf(&b, "%s %s\n", mark, l.Description)
			if l.Error != "" {
				fmt.Fprintf(&b, "    %s\n", l.Error)
			}
			if l.Hint != "" && l.Result != operator.SeverityOK {
				fmt.Fprintf(&b, "    next: %s\n", l.Hint)
			}
		}
		b.WriteByte('\n')
	}
	word := "√"
	if !r.Success {
		word = "×"
	}
	fmt.Fprintf(&b, "Status check results are %s\n", word)
	_, err := io.WriteString(out, b.String())
	return err
}

// verdict makes the exit code of the worst result.
func verdict(all []operator.Check) error {
	warned := false
	for _, c := range all {
		if c.Result == operator.SeverityError {
			return &ExitError{Code: 1}
		}
		warned = warned || c.Result == operator.SeverityWarning
	}
	if warned {
		return &ExitError{Code: 3}
	}
	return nil
}
