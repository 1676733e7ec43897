package check

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// TestTryAgain gives a server whose rollout has only just ended a few seconds.
func TestTryAgain(t *testing.T) {
	broken := errors.New("no endpoints available for service")
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", nil)
	type answer struct {
		injected bool
		err      error
	}
	for name, test := range map[string]struct {
		answers []answer // the last one is given again and again
		until   time.Duration
		want    answer
		took    time.Duration
		tries   int
	}{
		"at once":         {[]answer{{true, nil}}, time.Hour, answer{true, nil}, 0, 1},
		"after a rollout": {[]answer{{false, nil}, {false, broken}, {true, nil}}, time.Hour, answer{true, nil}, 2 * trialWait, 3},
		"never a proxy":   {[]answer{{false, nil}}, time.Hour, answer{false, nil}, (trials - 1) * trialWait, trials},
		"always broken":   {[]answer{{false, broken}}, time.Hour, answer{false, broken}, (trials - 1) * trialWait, trials},
		"forbidden":       {[]answer{{false, forbidden}}, time.Hour, answer{false, forbidden}, 0, 1},
		"out of time":     {[]answer{{false, broken}}, trialWait / 2, answer{false, broken}, trialWait / 2, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), test.until)
				defer cancel()
				tries, start := 0, time.Now()
				injected, err := tryAgain(ctx, func() (bool, error) {
					a := test.answers[min(tries, len(test.answers)-1)]
					tries++
					return a.injected, a.err
				})
				if injected != test.want.injected || !errors.Is(err, test.want.err) {
					t.Errorf("%v, %v; want %v", injected, err, test.want)
				}
				if took := time.Since(start); took != test.took || tries != test.tries {
					t.Errorf("%d tries in %v, want %d in %v", tries, took, test.tries, test.took)
				}
			})
		})
	}
}
