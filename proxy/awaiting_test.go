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
		look := func() outlook {
			asks++
			if there.Load() {
				return usable
			}
			return empty
		}

		if got := reasonOf(w.wait(t.Context(), clock, look)); got != "no-endpoints" || clock() != endpointWait+1 {
			t.Errorf("without an update: %q after %v", got, clock())
		}
		if asks != 1 {
			t.Errorf("looked %d times: it polls", asks)
		}
		if got := reasonOf(w.wait(t.Context(), clock, look)); got != "no-endpoints" || clock() != endpointWait+1 || asks != 2 {
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
		if got := reasonOf(w.wait(t.Context(), clock, look)); got != "" || clock()-before != 2*time.Second {
			t.Errorf("with an update: %q after %v", got, clock()-before)
		}

		there.Store(false)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan string)
		for range MaxAwaiting {
			go func() { ended <- reasonOf(w.wait(ctx, clock, func() outlook { return empty })) }()
		}
		synctest.Wait()
		if got := reasonOf(w.wait(t.Context(), clock, look)); got != "overloaded" {
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

// TestAwaitingStart waits longer for an application that is starting, and only
// once: after that it is tried as it is.
func TestAwaitingStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		clock := func() time.Duration { return time.Since(begin) + 1 }
		var w awaiting
		var now atomic.Uint32
		set := func(o outlook) { now.Store(uint32(o)); w.updated() }
		look := func() outlook { return outlook(now.Load()) }
		set(starting)
		took := func(want time.Duration, reason string) {
			t.Helper()
			before := clock()
			if got := reasonOf(w.wait(t.Context(), clock, look)); got != reason || clock()-before != want {
				t.Errorf("%q after %v; want %q after %v", got, clock()-before, reason, want)
			}
		}
		took(StartWait, "")
		time.Sleep(time.Hour)
		took(0, "")

		w.updated() // another one is starting
		time.AfterFunc(StartWait-1, func() { set(usable) })
		took(StartWait-1, "")

		// The only one begins to start in time, and goes away again too late.
		set(empty)
		time.AfterFunc(endpointWait-1, func() { set(starting) })
		time.AfterFunc(endpointWait+1, func() { set(empty) })
		took(endpointWait+1, "no-endpoints")
	})
}
