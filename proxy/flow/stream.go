package flow

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/leno-mesh/leno/mesh"
)

// The private header fields on a link (docs/link.md).
const (
	FieldLink     = "leno-link"
	FieldForm     = "leno-form"
	FieldAnswer   = "leno-answer"
	FieldReason   = "leno-reason"
	FieldClientID = "leno-client-id" // towards applications
)

// The values of leno-answer.
const (
	AnswerConnected     = "connected"
	AnswerRefused       = "refused"
	AnswerDenied        = "denied"
	AnswerWrongWorkload = "wrong-workload"
	AnswerFailed        = "failed"
)

// Mode says what a stream of a link carries.
type Mode uint8

// The modes of a stream.
const (
	ModeHTTP Mode = iota
	ModeOpaque
	ModeUndecided
)

// String gives the word on the link.
func (m Mode) String() string {
	return [...]string{"http", "opaque", "undecided"}[m%3]
}

// Where is the leno-link field: where a stream is to go.
type Where struct {
	Mode     Mode
	Service  string
	Port     uint16 // the target port at the workload
	Workload mesh.WorkloadID
}

// String writes the field's value.
func (w Where) String() string {
	return "v=1;m=" + w.Mode.String() + ";s=" + w.Service + ";p=" + strconv.Itoa(int(w.Port)) + ";w=" + string(w.Workload)
}

var errWhere = errors.New("malformed leno-link")

// ParseWhere reads the field's value. Unknown keys are ignored; a missing or
// repeated mode, port or workload is an error.
func ParseWhere(s string) (Where, error) {
	var w Where
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(s, ";") {
		key, value, ok := strings.Cut(pair, "=")
		if !ok {
			return Where{}, fmt.Errorf("%w: %q is no key=value", errWhere, pair)
		}
		switch key {
		case "m", "p", "w", "s":
			if seen[key] {
				return Where{}, fmt.Errorf("%w: %s twice", errWhere, key)
			}
			seen[key] = true
		}
		if err := w.set(key, value); err != nil {
			return Where{}, err
		}
	}
	if !seen["m"] || !seen["p"] || !seen["w"] || w.Workload == "" {
		return Where{}, fmt.Errorf("%w: mode, port and workload must be there", errWhere)
	}
	return w, nil
}

func (w *Where) set(key, value string) error {
	switch key {
	case "m":
		for m := ModeHTTP; m <= ModeUndecided; m++ {
			if m.String() == value {
				w.Mode = m
				return nil
			}
		}
		return fmt.Errorf("%w: unknown mode %q", errWhere, value)
	case "s":
		w.Service = value
	case "p":
		n, err := strconv.ParseUint(value, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("%w: bad port %q", errWhere, value)
		}
		w.Port = uint16(n)
	case "w":
		w.Workload = mesh.WorkloadID(value)
	}
	return nil
}
