package main

import (
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
)

// TestReady asks a proxy that becomes ready at the third look.
func TestReady(t *testing.T) {
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ready" || asked.Add(1) < 3 {
			http.Error(w, "waiting for a certificate", http.StatusServiceUnavailable)
		}
	}))
	defer proxy.Close()
	at := netip.MustParseAddrPort(proxy.Listener.Addr().String())
	args := []string{"ready", "--address=" + at.Addr().String(), "--admin-port", strings.TrimPrefix(at.String(), at.Addr().String()+":")}
	if err := command(t.Context(), args); err == nil || err.Error() != "waiting for a certificate" {
		t.Errorf("at once: %v", err)
	}
	if err := command(t.Context(), append(args, "--wait=1m")); err != nil || asked.Load() != 3 {
		t.Errorf("with patience, after %d looks: %v", asked.Load(), err)
	}
	proxy.Close()
	if err := command(t.Context(), args); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("nobody there: %v", err)
	}
}
