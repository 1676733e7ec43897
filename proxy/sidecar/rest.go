package sidecar

import (
	"context"
	"time"

	"github.com/leno-mesh/leno/footprint"
	"github.com/leno-mesh/leno/telemetry"
)

const (
	// restEvery is how often the proxy looks whether it is at rest.
	restEvery = 30 * time.Second
	// restCPU is the CPU time in that span below which it is.
	restCPU = 30 * time.Millisecond
	// regrown is how many bytes more than at rest are worth the trouble.
	regrown = 1 << 20
)

// giveBack trims memory once the proxy is ready, and again each time it is at
// rest and holds more than it does then.
func (s *Sidecar) giveBack(ctx context.Context) error {
	select {
	case <-s.proxy.Ready():
		footprint.Trim()
	case <-ctx.Done():
		return nil
	}
	tick := time.NewTicker(restEvery)
	defer tick.Stop()
	rss, cpu := telemetry.Usage()
	r := rest{floor: rss, cpu: cpu}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if r.look(telemetry.Usage()) {
			footprint.Trim()
		}
	}
}

// rest follows what a proxy holds when it has nothing to do.
type rest struct {
	floor uint64        // bytes; 0 is not known
	cpu   time.Duration // at the last look
	busy  bool          // since memory was last given back
}

// look says whether it is time to give memory back. What has come back at the
// next look at rest is needed, and stays.
func (r *rest) look(rss uint64, cpu time.Duration) bool {
	spent := cpu - r.cpu
	r.cpu = cpu
	switch {
	case spent >= restCPU:
		r.busy = true
	case r.busy || r.floor > 0 && rss > r.floor+regrown:
		r.busy, r.floor = false, 0
		return true
	case r.floor == 0:
		r.floor = rss
	}
	return false
}
