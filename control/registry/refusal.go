package registry

import "fmt"

// Refusal is a considered no to a workload or an operator. Its text is for
// the person who started the workload: it says what to do.
type Refusal struct{ text string }

// Error gives the text.
func (e *Refusal) Error() string { return e.text }

func refuse(format string, args ...any) error {
	return &Refusal{text: fmt.Sprintf(format, args...)}
}
