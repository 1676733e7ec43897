package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/leno-mesh/leno/control/operator"
)

// Exit codes of leno check. A warning is not a failure for scripts that only
// look for one, and can still be told from success.
const (
	exitError   = 1
	exitWarning = 3
)

// checkReport is what -o json prints.
type checkReport struct {
	Success    bool            `json:"success"`
	Categories []checkCategory `json:"categories"`
}

type checkCategory struct {
	Name   string      `json:"categoryName"`
	Checks []checkItem `json:"checks"`
}

type checkItem struct {
	Description string `json:"description"`
	Hint        string `json:"hint"`
	Error       string `json:"error"`
	Result      string `json:"result"` // success, warning, error
}

func newCheckCmd(a *app) *cobra.Command {
	var format string
	var what checkWhat
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Look for problems, and say what to do about each",
		Long: `Look for problems with the control plane, the certificates and the proxies. In a
Kubernetes cluster, look also at the webhook, at pods without their proxy, and at
what would block the mesh; with --pre, look before Leno is installed there; with
--proxy, look at each proxy of one namespace.

The exit status is 0 when all is well, 3 when there are warnings, 1 when there
are errors.`,
		Example: `  leno check
  leno check --pre
  leno check --proxy -n shop -o json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := a.check(cmd.Context(), &what)
			if err != nil {
				return err
			}
			switch format {
			case "table":
				err = r.write(a.Out)
			case "json":
				err = printJSON(a.Out, r)
			default:
				return &ExitError{Code: 2, Text: fmt.Sprintf("-o %q is not known; want table or json", format)}
			}
			if err != nil {
				return err
			}
			return r.exit()
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "table", "table or json")
	cmd.Flags().DurationVar(&what.wait, "wait", 0, "wait so long for the control plane to answer")
	what.flags(cmd)
	return cmd
}

// askChecks asks until the control plane answers or the time is over. A control
// plane that does not answer is the first finding and not the command's error.
func (a *app) askChecks(ctx context.Context, c *operator.Client, wait time.Duration) (checkReport, error) {
	deadline := time.Now().Add(wait)
	for {
		all, err := c.Checks(ctx)
		var silent *operator.UnreachableError
		switch {
		case err == nil:
			return newCheckReport(all), nil
		case !errors.As(err, &silent) || ctx.Err() != nil:
			return checkReport{}, err
		case time.Now().After(deadline):
			return newCheckReport([]operator.Check{{
				Category: "control plane", Description: "control plane answers at " + silent.Place, Result: operator.SeverityError,
				Error: silent.Err.Error(), Hint: silent.Hint,
			}}), nil
		}
		select {
		case <-ctx.Done():
			return checkReport{}, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// newCheckReport puts checks into their categories, in the order in which
// they came.
func newCheckReport(all []operator.Check) checkReport {
	r := checkReport{Success: true, Categories: []checkCategory{}}
	at := make(map[string]int)
	for _, c := range all {
		i, ok := at[c.Category]
		if !ok {
			i = len(r.Categories)
			at[c.Category] = i
			r.Categories = append(r.Categories, checkCategory{Name: c.Category})
		}
		r.Categories[i].Checks = append(r.Categories[i].Checks, checkItem{c.Description, c.Hint, c.Error, c.Result})
		r.Success = r.Success && c.Result != operator.SeverityError
	}
	return r
}

// count says how many checks came out so.
func (r *checkReport) count(result string) (n int) {
	for _, c := range r.Categories {
		for _, i := range c.Checks {
			if i.Result == result {
				n++
			}
		}
	}
	return n
}

func (r *checkReport) exit() error {
	switch {
	case r.count(operator.SeverityError) > 0:
		return &ExitError{Code: exitError}
	case r.count(operator.SeverityWarning) > 0:
		return &ExitError{Code: exitWarning}
	default:
		return nil
	}
}

func (r *checkReport) write(out io.Writer) error {
	var b strings.Builder
	for _, c := range r.Categories {
		fmt.Fprintf(&b, "%s\n%s\n", c.Name, strings.Repeat("-", utf8.RuneCountInString(c.Name)))
		for _, i := range c.Checks {
			i.write(&b)
		}
		b.WriteByte('\n')
	}
	errs, warnings := r.count(operator.SeverityError), r.count(operator.SeverityWarning)
	if errs+warnings == 0 {
		b.WriteString("All is well.\n")
	} else {
		fmt.Fprintf(&b, "Errors: %d. Warnings: %d.\n", errs, warnings)
	}
	_, err := io.WriteString(out, printableText(b.String()))
	return err
}

func (i checkItem) write(b *strings.Builder) {
	mark := "×"
	switch i.Result {
	case operator.SeverityOK:
		mark = "√"
	case operator.SeverityWarning:
		mark = "‼"
	}
	fmt.Fprintf(b, "%s %s\n", mark, i.Description)
	if i.Result == operator.SeverityOK {
		return
	}
	if i.Error != "" {
		fmt.Fprintf(b, "    %s\n", i.Error)
	}
	if i.Hint != "" {
		fmt.Fprintf(b, "    next: %s\n", i.Hint)
	}
}
