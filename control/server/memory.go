package server

import (
	"context"
	"os"
	"runtime/debug"
	"time"

	"github.com/leno-mesh/leno/footprint"
	"github.com/leno-mesh/leno/telemetry"
)

const (
	// gcPercent is how much garbage may come on top of what is in use before
	// it is collected. Most of what is in use here lives as long as its proxy,
	// and little garbage is made beside it, so that a fifth of Go's default
	// costs hardly any CPU: see docs/decisions/0017.
	gcPercent = 20
	// lookEvery is how often the server looks at what it holds.
	lookEvery = 30 * time.Second
	// outgrown is how many bytes more than were needed half a minute after the
	// last time are worth giving memory back again.
	outgrown = 8 << 20
)

// keepSmall gives memory back half a minute after the start, and again each
// time the server has grown: what the arrival of many proxies needed is not
// needed for keeping them.
func (s *Server) keepSmall(ctx context.Context) error {
	if os.Getenv("GOGC") == "" { // who set it knows better
		debug.SetGCPercent(gcPercent)
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var g growth
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if rss, _ := telemetry.Usage(); g.look(rss) {
			footprint.Trim()
		}
	}
}

// growth follows what the server holds.
type growth struct {
	started bool   // the first look is behind us
	floor   uint64 // bytes that are needed; 0 is not known
}

// look says whether it is time to give memory back. What has come back at the
// next look is needed, and stays.
func (g *growth) look(rss uint64) bool {
	switch {
	case !g.started:
		g.started = true
		return true
	case g.floor == 0 || rss < g.floor:
		g.floor = rss
	case rss > g.floor+outgrown:
		g.floor = 0
		return true
	}
	return false
}
