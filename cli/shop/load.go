package shop

import (
	"context"
	"net/http"
	"sync"
	"time"
)

// Rate is how many requests per second the load makes.
const Rate = 40

// busy bounds the requests that wait for an answer; past it the load skips.
const busy = 64

// RunLoad calls the shop's front at a steady rate until the context ends.
// What becomes of a request is for the mesh to count.
func RunLoad(ctx context.Context) error {
	c := newCaller()
	defer c.CloseIdleConnections()
	return steady(ctx, c, time.Second/Rate)
}

func steady(ctx context.Context, c *http.Client, every time.Duration) error {
	var requests sync.WaitGroup
	defer requests.Wait()
	slots := make(chan struct{}, busy)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		select {
		case slots <- struct{}{}:
			requests.Go(func() {
				_ = call(ctx, c, "web")
				<-slots
			})
		default:
		}
	}
}
