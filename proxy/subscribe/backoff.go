package subscribe

import (
	"context"
	"math/rand/v2"
	"time"
)

const (
	backoffMin = 100 * time.Millisecond
	backoffMax = 10 * time.Second
	// A stream that lived so long is no failed attempt.
	goodLife = 10 * time.Second
	// One that the server ends so that it begins anew may be shorter:
	// certificates can be made to live for seconds.
	goodTurn = time.Second
)

// backoff spaces attempts. The zero value is ready.
type backoff struct {
	failures int
}

// next gives the wait before the next attempt: doubling with each failure,
// and jittered by up to a half, so that a thousand proxies do not come back
// at once.
func (b *backoff) next(end ended) time.Duration {
	if end.rotate && end.lived >= goodTurn {
		b.failures = 0
		return 0
	}
	if end.lived >= goodLife {
		b.failures = 0
	}
	d := min(backoffMin<<min(b.failures, 10), backoffMax)
	b.failures++
	d = max(d, min(end.wait, time.Minute))
	return d/2 + rand.N(d/2+1)
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
