package proxy

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/proxy/flow"
)

// reasonOf is the code of an error, or "".
func reasonOf(e *flow.Error) string {
	if e == nil {
		return ""
	}
	return e.Reason.String()
}

func TestAwaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		clock := func() time.Duration { return time.Since(start) + 1 }
		var w awaiting
		var there atomic.Bool
		asks := 0
		found := func() bool { asks++; return there.Load() }

		if got := reasonOf(w.wait(t.Context(), clock, found)); got != "no-endpoints" || clock() != endpointWait+1 {
			t.Errorf("without an update: %q after %v", got, clock())
		}
		if asks != 1 {
			t.Errorf("looked %d times: it polls", asks)
		}
		if got := reasonOf(w.wait(t.Context(), clock, found)); got != "no-endpoints" || asks != 1 {
			t.Errorf("right after a wait in vain: %q, looked %d times", got, asks)
		}
		time.Sleep(endpointRest)

		before := clock()
		go func() {
			time.Sleep(time.Second)
			w.updated() // nothing in it
			time.Sleep(time.Second)
			there.Store(true)
			w.updated()
		}()
		if got := reasonOf(w.wait(t.Context(), clock, found)); got != "" || clock()-before != 2*time.Second {
			t.Errorf("with an update: %q after %v", got, clock()-before)
		}

		there.Store(false)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan string)
		for range MaxAwaiting {
			go func() { ended <- reasonOf(w.wait(ctx, clock, func() bool { return false })) }()
		}
		synctest.Wait()
		if got := reasonOf(w.wait(t.Context(), clock, found)); got != "overloaded" {
			t.Errorf("one too many: %q", got)
		}
		cancel()
		for range MaxAwaiting {
			if got := <-ended; got != "draining" {
				t.Errorf("ended: %q", got)
			}
		}
	})
}
