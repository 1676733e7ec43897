package telemetry

import (
	"context"
	"crypto/rand"
	"log/slog"
	mathrand "math/rand/v2"
	"time"

	"github.com/leno-mesh/leno/wire/gen"
)

// PusherConfig makes a Pusher.
type PusherConfig struct {
	Registry *Registry
	// Push sends one message to the control plane.
	Push func(context.Context, *gen.PushRequest) (*gen.PushResponse, error)
	// Interval is how often changes are pushed, until the server says
	// otherwise. Zero means 1 s.
	Interval time.Duration
	// Heartbeat is after how long something is pushed without a change. Zero
	// means 10 s.
	Heartbeat time.Duration
	// Logger hears when pushing begins to fail, and when it works again. Nil
	// means silence.
	Logger *slog.Logger
}

const (
	pushTimeout = 5 * time.Second
	lastPush    = time.Second // the one at the end may take so long
	minInterval = time.Second
	maxInterval = 10 * time.Second
	maxBackoff  = 30 * time.Second
)

// Pusher brings the series of a registry to the control plane: changed
// series only, everything at the start and when the server asks for it.
// What could not be pushed is not lost, since values are cumulative.
type Pusher struct {
	cfg      PusherConfig
	startID  []byte
	cursor   Cursor
	interval time.Duration
	failures int  // in a row
	warned   bool // the log says that pushing fails
}

// NewPusher makes a pusher. There should be one in a process: it gives this
// run of the process its name.
func NewPusher(cfg PusherConfig) *Pusher {
	if cfg.Interval <= 0 {
		cfg.Interval = time.Second
	}
	if cfg.Heartbeat <= 0 {
		cfg.Heartbeat = 10 * time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // never fails
	return &Pusher{cfg: cfg, startID: id, interval: cfg.Interval}
}

// Run pushes until the context ends, and then once more, so that the last
// counts arrive. It returns the context's error.
func (p *Pusher) Run(ctx context.Context) error {
	quietSince := time.Now().Add(-p.cfg.Heartbeat)
	timer := time.NewTimer(p.wait())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			if p.failures == 0 {
				end, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastPush)
				defer cancel()
				p.push(end, true)
			}
			return ctx.Err()
		case <-timer.C:
		}
		now := time.Now()
		if p.push(ctx, now.Sub(quietSince) >= p.cfg.Heartbeat) {
			quietSince = now
		}
		timer.Reset(p.wait())
	}
}

// wait is the time to the next push: the interval, or the backoff, with some
// jitter.
func (p *Pusher) wait() time.Duration {
	d := p.interval
	if p.failures > 0 {
		d = min(d<<min(p.failures-1, 5), maxBackoff)
	}
	return d - d/10 + mathrand.N(d/5)
}

// push sends what there is and says whether that was anything.
func (p *Pusher) push(ctx context.Context, force bool) bool {
	messages := p.cfg.Registry.Collect(&p.cursor, force)
	for _, m := range messages {
		m.StartId = p.startID
		again, err := p.send(ctx, m)
		if err != nil || again {
			p.cursor.restart()
			p.failed(ctx, err)
			return true
		}
	}
	if len(messages) > 0 {
		p.cursor.acknowledged()
		p.worked(ctx)
	}
	return len(messages) > 0
}

// send sends one message; again is true when the server wants a new report.
func (p *Pusher) send(ctx context.Context, m *gen.PushRequest) (again bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, pushTimeout)
	defer cancel()
	resp, err := p.cfg.Push(ctx, m)
	if err != nil {
		return false, err
	}
	if ms := resp.GetIntervalMs(); ms > 0 {
		p.interval = min(max(time.Duration(ms)*time.Millisecond, minInterval), maxInterval)
	}
	return resp.GetResync(), nil
}

// failed counts a failure. A server that asks for a new report has not
// failed, but a loop of such answers must slow down as well.
func (p *Pusher) failed(ctx context.Context, err error) {
	p.failures++
	if err != nil && !p.warned && ctx.Err() == nil {
		p.warned = true
		p.cfg.Logger.WarnContext(ctx, "metrics are not pushed to the control plane; trying again", "error", err)
	}
}

func (p *Pusher) worked(ctx context.Context) {
	if p.warned {
		p.warned = false
		p.cfg.Logger.InfoContext(ctx, "metrics are pushed to the control plane again")
	}
	p.failures = 0
}
