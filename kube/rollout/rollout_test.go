package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUntil(t *testing.T) {
	broken := errors.New("broken")
	for name, test := range map[string]struct {
		limit time.Duration
		says  []string // each look in turn, the last again and again
		err   error
		want  string // of the error; "" is success
		notes []string
		looks int
	}{
		"there already":       {limit: time.Minute, says: []string{""}, looks: 1},
		"in steps":            {limit: time.Minute, says: []string{"two", "two", "one", ""}, looks: 4, notes: []string{"waiting  two", "waiting  one"}},
		"too late":            {limit: 800 * time.Millisecond, says: []string{"two", "one"}, want: "not ready after 800ms: one", looks: 2, notes: []string{"waiting  two", "waiting  one"}},
		"a look fails":        {limit: time.Minute, says: []string{"two"}, err: broken, want: "broken", looks: 1},
		"one look, there":     {says: []string{""}, looks: 1},
		"one look, not there": {says: []string{"one"}, want: "not ready after 0s: one", looks: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				looks := 0
				var notes []string
				w := Wait{Limit: test.limit, Note: func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }}
				err := w.Until(t.Context(), func(ctx context.Context) (string, error) {
					if ctx.Err() != nil {
						t.Error("a look that cannot see anything")
					}
					looks++
					return test.says[min(looks, len(test.says))-1], test.err
				})
				if got := text(err); got != test.want {
					t.Errorf("got %q, want %q", got, test.want)
				}
				if looks != test.looks || !slices.Equal(notes, test.notes) {
					t.Errorf("%d looks, notes %q; want %d, %q", looks, notes, test.looks, test.notes)
				}
			})
		})
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
