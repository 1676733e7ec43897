package cli

// What the terminal says, and how:
//
//   - Tables have a head in capitals, columns padded with two spaces, numbers
//     to the right. What is not known is "-", never 0.
//   - Rates and times carry their unit: 97.32%, 12.3rps, 4ms.
//   - An error is one line: what happened, to what, and what to do next.
//   - -o json is for programs and complete; the table is for people.
//   - Names and messages come from others: what could steer a terminal is shown
//     as "\ufffd". Every way to the screen goes through printable or printableText.
//   - Progress and notes go to standard error, results to standard output.

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// clearScreen goes to the first line of a terminal and clears what follows.
const clearScreen = "\x1b[H\x1b[2J"

// view is how a listing is to be shown.
type view struct {
	format string // table, wide, json
	watch  bool
}

func (v *view) flags(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&v.format, "output", "o", "table", "table, wide or json")
	cmd.Flags().BoolVar(&v.watch, "watch", false, "show again every second until interrupted")
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "wide", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

// show calls get and prints what it gives, once or every second.
func (v *view) show(ctx context.Context, out io.Writer, get func(context.Context) (any, *table, error)) error {
	if err := v.known(); err != nil {
		return err
	}
	for {
		value, t, err := get(ctx)
		if err != nil {
			return err
		}
		if v.watch && isTerminal(out) {
			fmt.Fprint(out, clearScreen)
		}
		if err := v.print(out, value, t); err != nil || !v.watch {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// known is an error when there is no such format.
func (v *view) known() error {
	switch v.format {
	case "table", "wide", "json":
		return nil
	}
	return &ExitError{Code: 2, Text: fmt.Sprintf("-o %q is not known; want table, wide or json", v.format)}
}

// print prints a listing once.
func (v *view) print(out io.Writer, value any, t *table) error {
	if v.format == "json" {
		return printJSON(out, value)
	}
	return t.write(out)
}

func (v *view) wide() bool { return v.format == "wide" }

func printJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd())) // a descriptor fits
}

// note tells a person what goes on, apart from the result.
func (a *app) note(format string, args ...any) {
	fmt.Fprintln(a.Err, printableText(fmt.Sprintf(format, args...)))
}

// printable makes one line out of text that others chose: control characters
// and those that change the direction of writing are replaced.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cc, r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029' {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, string(unicode.ReplacementChar)))
}

// printableText is printable for text of several lines.
func printableText(s string) string {
	lines := strings.Split(s, "\n")
	for i := range lines {
		lines[i] = printable(lines[i])
	}
	return strings.Join(lines, "\n")
}

// table is rows under a head. Columns whose head begins with ">" are numbers.
type table struct {
	head  []string
	rows  [][]string
	empty string // said instead of a table without rows
}

func (t *table) add(cells ...string) { t.rows = append(t.rows, cells) }

func (t *table) write(out io.Writer) error {
	if len(t.rows) == 0 && t.empty != "" {
		_, err := fmt.Fprintln(out, t.empty)
		return err
	}
	width := make([]int, len(t.head))
	right := make([]bool, len(t.head))
	head := make([]string, len(t.head))
	for i, h := range t.head {
		head[i], right[i] = strings.CutPrefix(h, ">")
	}
	all := append([][]string{head}, t.rows...)
	for _, row := range all {
		for i := range row {
			if row[i] = printable(row[i]); row[i] == "" {
				row[i] = "-"
			}
			width[i] = max(width[i], utf8.RuneCountInString(row[i]))
		}
	}
	var b strings.Builder
	for _, row := range all {
		line := make([]string, len(row))
		for i, cell := range row {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(cell))
			if right[i] {
				line[i] = pad + cell
			} else {
				line[i] = cell + pad
			}
		}
		b.WriteString(strings.TrimRight(strings.Join(line, "  "), " "))
		b.WriteByte('\n')
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func percent(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.2f%%", *v*100)
}

func millis(v *float64) string {
	switch {
	case v == nil:
		return "-"
	case *v < 10:
		return fmt.Sprintf("%.1fms", *v)
	default:
		return fmt.Sprintf("%.0fms", *v)
	}
}

func rps(v float64) string { return fmt.Sprintf("%.1frps", v) }

func bytesPerSecond(v float64) string { return size(v) + "/s" }

func size(v float64) string {
	for _, unit := range []string{"B", "KB", "MB", "GB"} {
		if v < 1024 || unit == "GB" {
			if unit == "B" {
				return fmt.Sprintf("%.0fB", v)
			}
			return fmt.Sprintf("%.1f%s", v, unit)
		}
		v /= 1024
	}
	return ""
}

// age says how long ago something was, in one unit.
func age(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return duration(time.Since(t))
}

func duration(d time.Duration) string {
	switch {
	case d < 0:
		return "-" + duration(-d)
	case d < 2*time.Minute:
		return fmt.Sprintf("%ds", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%dm", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", int(d.Hours()))
	}
	return fmt.Sprintf("%dd", int(d.Hours()/24))
}
