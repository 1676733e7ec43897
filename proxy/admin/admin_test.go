package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// pages runs a server and gives a function that asks it.
func pages(t *testing.T, cfg Config) (*Server, func(method, path, body, host, want string, status int)) {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	port := netip.MustParseAddrPort(s.Addr().String()).Port()
	return s, func(method, path, body, host, want string, status int) {
		t.Helper()
		req, _ := http.NewRequest(method, fmt.Sprintf("http://127.0.0.1:%d%s", port, path), strings.NewReader(body))
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		defer resp.Body.Close()
		got, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != status || !strings.Contains(string(got), want) {
			t.Errorf("%s %s: %d %q, want %d %q", method, path, resp.StatusCode, got, status, want)
		}
	}
}

func TestPages(t *testing.T) {
	missing := "a certificate"
	level := &slog.LevelVar{}
	_, do := pages(t, Config{
		Listen: netip.MustParseAddrPort("127.0.0.1:0"), Ready: func() string { return missing },
		Metrics:  func(w io.Writer) error { _, err := io.WriteString(w, "x 1\n"); return err },
		Snapshot: func() any { return map[string]int{"a": 1} }, Level: level,
	})
	do("GET", "/live", "", "", "live", 200)
	do("GET", "/ready", "", "", "waiting for a certificate", 503)
	missing = ""
	do("GET", "/ready", "", "", "ready", 200)
	do("GET", "/metrics", "", "", "x 1", 200)
	do("GET", "/debug/snapshot", "", "", `"a": 1`, 200)
	do("GET", "/debug/snapshot", "", "evil.example", "only over", 403)
	do("PUT", "/debug/log-level", "debug", "", "DEBUG", 200)
	do("PUT", "/debug/log-level", "loud", "", "want one of", 400)
	if level.Level() != slog.LevelDebug {
		t.Error("level was not set")
	}
}

// TestOverLoopback: a workload with an address of its own is looked into from
// its machine, and from nowhere else.
func TestOverLoopback(t *testing.T) {
	for name, test := range map[string]struct {
		from, to string
		want     int
	}{
		"loopback":         {"127.0.0.1:1", "127.0.0.9:4191", 200},
		"IPv6 loopback":    {"[::1]:1", "[::1]:4191", 200},
		"in IPv6's form":   {"[::ffff:127.0.0.1]:1", "[::ffff:127.0.0.1]:4191", 200},
		"the same address": {"10.0.0.5:1", "10.0.0.5:4191", 200},
		"and in a pod":     {"10.0.0.5:1", "[::ffff:10.0.0.5]:4191", 200},
		"another machine":  {"10.0.0.6:1", "10.0.0.5:4191", 403},
		"nobody knows":     {"", "10.0.0.5:4191", 403},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "http://"+test.to+"/debug/limits", http.NoBody)
			r.RemoteAddr = test.from
			local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(test.to))
			r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
			w := httptest.NewRecorder()
			loopback(func(http.ResponseWriter, *http.Request) {})(w, r)
			if w.Code != test.want {
				t.Errorf("%d, want %d", w.Code, test.want)
			}
		})
	}
}

// TestProbe asks in the kubelet's way whether the application listens, on
// every address of the pod.
func TestProbe(t *testing.T) {
	hold, begun := make(chan struct{}), make(chan struct{})
	_, do := pages(t, Config{
		Listen: netip.AddrPortFrom(netip.IPv6Unspecified(), 0),
		Reach: func(ctx context.Context, port uint16) error {
			switch port {
			case 80:
				return nil
			case 81:
				begun <- struct{}{}
				<-hold
				return nil
			}
			return errors.New("connection refused")
		},
	})
	do("GET", "/probe/tcp/80", "", "", "listens", 200)
	do("GET", "/probe/tcp/8080", "", "", "connection refused", 503)
	for _, bad := range []string{"0", "65536", "http", "-1"} {
		do("GET", "/probe/tcp/"+bad, "", "", "want /probe/tcp/PORT", 400)
	}
	var all sync.WaitGroup
	for range MaxProbes {
		all.Go(func() { do("GET", "/probe/tcp/81", "", "", "listens", 200) })
	}
	for range MaxProbes {
		<-begun
	}
	do("GET", "/probe/tcp/80", "", "", "too many probes", 503)
	close(hold)
	all.Wait()
	do("GET", "/probe/tcp/80", "", "", "listens", 200)
}
