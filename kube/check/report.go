package check

import (
	"fmt"

	"github.com/leno-mesh/leno/control/operator"
)

// report collects the outcomes of checks.
type report struct {
	category string
	checks   []operator.Check
}

func (r *report) ok(format string, args ...any) {
	r.checks = append(r.checks, operator.Check{
		Category: r.category, Description: fmt.Sprintf(format, args...), Result: operator.SeverityOK,
	})
}

func (r *report) warn(what, wrong, hint string) { r.say(operator.SeverityWarning, what, wrong, hint) }
func (r *report) fail(what, wrong, hint string) { r.say(operator.SeverityError, what, wrong, hint) }

func (r *report) say(severity, what, wrong, hint string) {
	r.checks = append(r.checks, operator.Check{Category: r.category, Description: what, Result: severity, Error: wrong, Hint: hint})
}
