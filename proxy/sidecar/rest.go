package sidecar

import (
	"context"
	"time"

	"github.com/leno-mesh/leno/telemetry"
)

const (
	// restEvery is how often the proxy looks whether it is at rest.
	restEvery = 30 * time.Second
	// restCPU is the CPU time in that span below which it is.
	restCPU = 30 * time.Millisecond
)

// giveBack trims memory once the proxy is ready, and again each time it has
// come to rest after having been busy.
func (s *Sidecar) giveBack(ctx context.Context) error {
	select {
	case <-s.proxy.Ready():
		trim()
	case <-ctx.Done():
		return nil
	}
	tick := time.NewTicker(restEvery)
	defer tick.Stop()
	_, last := telemetry.Usage()
	busy := false
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		_, now := telemetry.Usage()
		resting := now-last < restCPU
		if resting && busy {
			trim()
		}
		last, busy = now, !resting
	}
}
