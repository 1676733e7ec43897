package sidecar

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/leno-mesh/leno/mesh"
	"github.com/leno-mesh/leno/proxy"
	"github.com/leno-mesh/leno/proxy/accept"
)

const (
	// lookEvery is how often the proxy looks whether its application has begun
	// to listen, and lookLate how often once that has taken lateStart.
	lookEvery = 50 * time.Millisecond
	lookLate  = time.Second
	lateStart = 10 * time.Second
)

// application follows which ports of a registration the application does not
// serve yet, until it serves them all: callers wait for it, or go to other
// instances. One that stops later is the callers' business.
type application struct {
	offers *mesh.Registration // nil on Kubernetes, which knows by itself
	log    *slog.Logger
	// listening asks the kernel, so that the application sees no connection.
	// Connect asks in earnest: what listens may be hidden from that view, in a
	// container with a forwarded port.
	listening func(netip.AddrPort) (bool, error)
	connect   func(context.Context, netip.AddrPort) error
}

func newApplication(offers *mesh.Registration, log *slog.Logger) *application {
	a := &application{offers: offers, log: log, listening: accept.Listening, connect: proxy.ReachAt}
	if offers != nil {
		a.begin()
	}
	return a
}

// begin looks for the first time.
func (a *application) begin() {
	now := *a.offers
	now.Services = slices.Clone(now.Services)
	for i := range now.Services {
		now.Services[i].Starting = !a.serves(context.Background(), now.Services[i].Target, false)
	}
	a.offers = &now
}

// starting says whether there is anything to wait for.
func (a *application) starting() bool {
	return a.offers != nil && slices.ContainsFunc(a.offers.Services, func(p mesh.RegisteredPort) bool { return p.Starting })
}

// look looks once at what is starting, and says whether some of it is not any
// more. Offers is a new value then.
func (a *application) look(ctx context.Context, late bool) bool {
	now := *a.offers
	now.Services = slices.Clone(now.Services)
	changed := false
	for i := range now.Services {
		if p := &now.Services[i]; p.Starting && a.serves(ctx, p.Target, late) {
			p.Starting, changed = false, true
		}
	}
	if changed {
		a.offers = &now
	}
	return changed
}

// serves says whether the application listens. Where the kernel does not tell
// it is taken to do so.
func (a *application) serves(ctx context.Context, at netip.AddrPort, late bool) bool {
	there, err := a.listening(at)
	if err != nil || there {
		return true
	}
	return late && a.connect(ctx, at) == nil
}

// await tells what has begun to listen, until everything has.
func (a *application) await(ctx context.Context, tell func(*mesh.Registration)) {
	late := time.Now().Add(lateStart)
	warned := false
	for a.starting() {
		pause := lookEvery
		if warned {
			pause = lookLate
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		if a.look(ctx, warned) {
			tell(a.offers)
		}
		if !warned && !time.Now().Before(late) {
			warned = true
			a.warn()
		}
	}
}

func (a *application) warn() {
	for _, p := range a.offers.Services {
		if p.Starting {
			a.log.Warn("nothing listens for a service of this workload yet; other instances are called first. Does the application run, and listen there?",
				"service", p.Service, "port", p.Port, "listen", p.Target)
		}
	}
}
