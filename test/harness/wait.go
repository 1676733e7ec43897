package harness

import (
	"context"
	"testing"
	"time"
)

// Ceiling is how long anything may take before a test gives up: it tells a
// busy machine from a thing that never happens.
const Ceiling = 60 * time.Second

// pollEvery is how often a condition is looked at.
const pollEvery = 20 * time.Millisecond

// Wait looks again and again until done says "", and fails the test with the
// last answer when that takes too long.
func Wait(t testing.TB, what string, done func() (missing string)) {
	t.Helper()
	end := time.Now().Add(Ceiling)
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		missing := done()
		if missing == "" {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%s: not within %s: %s", what, Ceiling, missing)
		}
		<-tick.C
	}
}

// WaitErr is Wait for what gives an error until it is there.
func WaitErr(t testing.TB, what string, try func(context.Context) error) {
	t.Helper()
	Wait(t, what, func() string {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := try(ctx); err != nil {
			return err.Error()
		}
		return ""
	})
}

// Pass lets time pass while something else goes on: load for a while, a server
// that stays away. No outcome may hang on how long it is.
func Pass(d time.Duration) { <-time.After(d) }
