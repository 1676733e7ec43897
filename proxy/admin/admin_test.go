package admin

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func TestPages(t *testing.T) {
	missing := "a certificate"
	level := &slog.LevelVar{}
	s, err := New(Config{
		Listen: netip.MustParseAddrPort("127.0.0.1:0"), Ready: func() string { return missing },
		Metrics:  func(w io.Writer) error { _, err := io.WriteString(w, "x 1\n"); return err },
		Snapshot: func() any { return map[string]int{"a": 1} }, Level: level,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- s.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	do := func(method, path, body, host, want string, status int) {
		t.Helper()
		req, _ := http.NewRequest(method, "http://"+s.Addr().String()+path, strings.NewReader(body))
		req.Host = host
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		got, _ := io.ReadAll(resp.Body)
		if resp.StatusCode != status || !strings.Contains(string(got), want) {
			t.Errorf("%s %s: %d %q, want %d %q", method, path, resp.StatusCode, got, status, want)
		}
	}
	do("GET", "/live", "", "", "live", 200)
	do("GET", "/ready", "", "", "waiting for a certificate", 503)
	missing = ""
	do("GET", "/ready", "", "", "ready", 200)
	do("GET", "/metrics", "", "", "x 1", 200)
	do("GET", "/debug/snapshot", "", "", `"a": 1`, 200)
	do("GET", "/debug/snapshot", "", "evil.example", "only from", 403)
	do("PUT", "/debug/log-level", "debug", "", "DEBUG", 200)
	do("PUT", "/debug/log-level", "loud", "", "want one of", 400)
	if level.Level() != slog.LevelDebug {
		t.Error("level was not set")
	}
}
