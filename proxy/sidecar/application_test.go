package sidecar

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/leno-mesh/leno/mesh"
)

// TestApplication follows applications that begin to listen at some time, or
// only where the kernel does not see it.
func TestApplication(t *testing.T) {
	const never = -1
	unknown := errors.New("no such system call")
	for name, test := range map[string]struct {
		api, admin time.Duration // when it listens
		err        error         // of the kernel
		hidden     bool          // it listens, but in another network namespace
		want       string        // what was told, and when
		warned     string
	}{
		"at once":         {want: ""},
		"a slow start":    {api: 120 * time.Millisecond, want: "150ms:-"},
		"one by one":      {api: time.Second, admin: 2 * time.Second, want: "1s:admin 2s:-"},
		"very late":       {api: time.Minute, want: "1m0s:-", warned: "api"},
		"one never":       {api: time.Second, admin: never, want: "1s:admin", warned: "admin"},
		"the other never": {admin: time.Second, api: never, want: "1s:api", warned: "api"},
		"nobody knows":    {api: time.Minute, err: unknown, want: ""},
		"hidden":          {api: 3 * time.Second, hidden: true, want: "11s:-", warned: "api"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				api, admin := netip.MustParseAddrPort("127.0.0.9:80"), netip.MustParseAddrPort("127.0.0.9:81")
				there := func(at netip.AddrPort) bool {
					since := map[netip.AddrPort]time.Duration{api: test.api, admin: test.admin}[at]
					return since >= 0 && time.Since(begin) >= since
				}
				var log bytes.Buffer
				reg := &mesh.Registration{Services: []mesh.RegisteredPort{{Service: "api", Target: api}, {Service: "admin", Target: admin}}}
				a := &application{
					offers: reg, log: slog.New(slog.NewTextHandler(&log, nil)),
					listening: func(at netip.AddrPort) (bool, error) {
						return there(at) && (at == admin || !test.hidden), test.err
					},
					connect: func(_ context.Context, at netip.AddrPort) error {
						if there(at) {
							return nil
						}
						return errors.New("refused")
					},
				}
				a.begin()
				first := *a.offers
				var told []string
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				a.await(ctx, func(r *mesh.Registration) {
					told = append(told, time.Since(begin).String()+":"+startingOf(r))
				})
				if diff := cmp.Diff(test.want, strings.Join(told, " ")); diff != "" {
					t.Error(diff)
				}
				if len(told) == 0 && a.starting() || startingOf(reg) != "-" {
					t.Errorf("it began with %s, and what it was given has %s", startingOf(&first), startingOf(reg))
				}
				if got := log.String(); strings.Count(got, "\n") != len(strings.Fields(test.warned)) || !strings.Contains(got, test.warned) {
					t.Errorf("log: %s", got)
				}
			})
		})
	}
}

// startingOf names the services that are starting, or is "-".
func startingOf(r *mesh.Registration) string {
	var all []string
	for _, p := range r.Services {
		if p.Starting {
			all = append(all, p.Service)
		}
	}
	if all == nil {
		return "-"
	}
	return strings.Join(all, ",")
}

// TestApplicationOnKubernetes: nothing is offered, nothing is looked at.
func TestApplicationOnKubernetes(t *testing.T) {
	a := newApplication(nil, slog.New(slog.DiscardHandler))
	a.await(t.Context(), func(*mesh.Registration) { t.Error("told something") })
}
