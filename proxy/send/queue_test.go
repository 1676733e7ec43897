package send

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/leno-mesh/leno/proxy/flow"
)

// TestQueue has an application that never answers: only so many requests wait
// for it, on one connection, and these only so long.
func TestQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		var dialed atomic.Int32
		p := NewHTTP(HTTPConfig{
			MaxShared: 1, MaxQueued: 2,
			Dial: func(ctx context.Context) (net.Conn, error) {
				dialed.Add(1)
				<-ctx.Done()
				return nil, ctx.Err()
			},
			Go: func(run func(context.Context)) bool {
				running.Go(func() { run(ctx) })
				return true
			},
		})
		began := time.Now()
		var waited [2]time.Duration
		var waiting sync.WaitGroup
		for i := range waited {
			waiting.Go(func() {
				_, err := p.shared.get(t.Context(), false)
				if err == nil {
					t.Error("a place on no connection")
				}
				waited[i] = time.Since(began)
			})
		}
		synctest.Wait()
		_, err := p.shared.get(t.Context(), false)
		var why *flow.Error
		if !errors.As(err, &why) || why.Reason != flow.Overloaded {
			t.Errorf("the third request: %v, want %v", err, flow.Overloaded)
		}
		if took := time.Since(began); took != 0 {
			t.Errorf("it was told after %s", took)
		}
		waiting.Wait()
		for _, took := range waited {
			if took != QueueTime {
				t.Errorf("a request waited %s, want %s", took, QueueTime)
			}
		}
		if n := dialed.Load(); n != 1 {
			t.Errorf("%d connections were tried at once, want 1", n)
		}
		cancel()
		running.Wait()
	})
}
